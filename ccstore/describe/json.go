package describe

import (
	"encoding/json"
	"io"

	"kcmd.org/kcmd/safetext"
)

// WriteJSON writes c as a line of JSON. Characters that a terminal could obey are
// written as \uNNNN.
func (c *Collection) WriteJSON(w io.Writer) error {
	line, err := json.Marshal(c)
	if err == nil {
		_, err = w.Write(append(safetext.JSON(line), '\n'))
	}
	return err
}
