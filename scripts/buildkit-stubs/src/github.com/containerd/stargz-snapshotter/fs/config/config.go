// Package config stands in for the options of the stargz snapshotter.
package config

type Config struct{}
