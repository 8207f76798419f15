//go:build !race

package durability

const raceDetector = false
