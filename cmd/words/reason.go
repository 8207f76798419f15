package words

import "errors"

// Reason returns the text of an error of kcmd without the name of the method. The text
// of kcmd's own error says more than its name.
func Reason(err error) string {
	var text string
	for e := err; e != nil; {
		text = e.Error()
		many, ok := e.(interface{ Unwrap() []error })
		if !ok {
			e = errors.Unwrap(e)
			continue
		}
		list := many.Unwrap()
		e = list[len(list)-1]
	}
	return text
}
