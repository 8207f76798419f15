//go:build race

package durability

const raceDetector = true
