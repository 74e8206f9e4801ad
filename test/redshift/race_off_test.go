//go:build !race

package redshift_test

const raceEnabled = false
