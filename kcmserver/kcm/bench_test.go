package kcm_test

import (
	"bytes"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// BenchmarkReadRequest reads requests as clients send them, one after the other.
func BenchmarkReadRequest(b *testing.B) {
	for _, op := range []kcm.Opcode{kcm.OpRetrieve, kcm.OpStore} {
		for _, v := range vectors(b) {
			if v.Opcode != op {
				continue
			}
			frame := unhex(b, v.Request)
			b.Run(v.Op, func(b *testing.B) { benchRequest(b, frame) })
			break
		}
	}
}

func benchRequest(b *testing.B, frame []byte) {
	in := bytes.NewReader(frame)
	var buf []byte
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(frame)
		req, grown, err := kcm.ReadRequest(in, buf)
		if err != nil {
			b.Fatal(err)
		}
		if buf = grown; arguments(req) != nil {
			b.Fatal("the arguments cannot be read")
		}
	}
}

func BenchmarkAppendReply(b *testing.B) {
	data := make([]byte, 1200)
	buf := make([]byte, 0, 2*len(data))
	b.ReportAllocs()
	for b.Loop() {
		buf = kcm.AppendReply(buf[:0], kcm.OK, data)
	}
}
