//go:build race

package redshift_test

// raceEnabled makes the largest load smaller: the detector slows it tenfold.
const raceEnabled = true
