// Package fuseoverlayfs stands in for the snapshotter of that name, which Debian does not ship.
package fuseoverlayfs

import (
	"errors"

	"github.com/containerd/containerd/v2/core/snapshots"
)

var errLeftOut = errors.New("this buildkitd was compiled without fuse-overlayfs")

func Supported(string) error { return errLeftOut }

func NewSnapshotter(string) (snapshots.Snapshotter, error) { return nil, errLeftOut }
