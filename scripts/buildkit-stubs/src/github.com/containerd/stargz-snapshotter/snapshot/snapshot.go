// Package snapshot stands in for the stargz snapshotter.
package snapshot

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/stargz-snapshotter/fs"
)

type Option struct{}

var AsynchronousRemove, NoRestore Option

func NewSnapshotter(
	context.Context, string, *fs.Filesystem, ...Option,
) (snapshots.Snapshotter, error) {
	return nil, errors.New("this buildkitd was compiled without stargz")
}
