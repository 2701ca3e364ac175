// Package fs stands in for the file system of the stargz snapshotter, whose version in Debian is
// for an older containerd.
package fs

import (
	"errors"

	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/fs/layer"
	"github.com/containerd/stargz-snapshotter/fs/source"
	"github.com/sirupsen/logrus"
)

type Filesystem struct{}

type Option struct{}

func WithGetSources(source.GetSources) Option { return Option{} }

func WithMetricsLogLevel(logrus.Level) Option { return Option{} }

func WithOverlayOpaqueType(layer.OverlayOpaqueType) Option { return Option{} }

func NewFilesystem(string, config.Config, ...Option) (*Filesystem, error) {
	return nil, errors.New("this buildkitd was compiled without stargz")
}
