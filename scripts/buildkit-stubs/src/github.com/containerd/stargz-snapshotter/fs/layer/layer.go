// Package layer stands in for the layers of the stargz snapshotter.
package layer

type OverlayOpaqueType int

const (
	OverlayOpaqueTrusted OverlayOpaqueType = iota
	OverlayOpaqueUser
)
