package kcm

import "strconv"

// An Opcode is the operation that a request asks for.
type Opcode uint16

// The opcodes of Heimdal's kcm, and MIT's additions from 13001 on.
const (
	OpNoop             Opcode = 0
	OpGetName          Opcode = 1
	OpResolve          Opcode = 2
	OpGenNew           Opcode = 3
	OpInitialize       Opcode = 4
	OpDestroy          Opcode = 5
	OpStore            Opcode = 6
	OpRetrieve         Opcode = 7
	OpGetPrincipal     Opcode = 8
	OpGetCredUUIDList  Opcode = 9
	OpGetCredByUUID    Opcode = 10
	OpRemoveCred       Opcode = 11
	OpSetFlags         Opcode = 12
	OpChown            Opcode = 13
	OpChmod            Opcode = 14
	OpGetInitialTicket Opcode = 15
	OpGetTicket        Opcode = 16
	OpMoveCache        Opcode = 17
	OpGetCacheUUIDList Opcode = 18
	OpGetCacheByUUID   Opcode = 19
	OpGetDefaultCache  Opcode = 20
	OpSetDefaultCache  Opcode = 21
	OpGetKDCOffset     Opcode = 22
	OpSetKDCOffset     Opcode = 23
	OpAddNTLMCred      Opcode = 24
	OpHaveNTLMCred     Opcode = 25
	OpDelNTLMCred      Opcode = 26
	OpDoNTLMAuth       Opcode = 27
	OpGetNTLMUserList  Opcode = 28
	OpGetCredList      Opcode = 13001
	OpReplace          Opcode = 13002
)

var opcodeNames = map[Opcode]string{
	OpNoop:             "NOOP",
	OpGetName:          "GET_NAME",
	OpResolve:          "RESOLVE",
	OpGenNew:           "GEN_NEW",
	OpInitialize:       "INITIALIZE",
	OpDestroy:          "DESTROY",
	OpStore:            "STORE",
	OpRetrieve:         "RETRIEVE",
	OpGetPrincipal:     "GET_PRINCIPAL",
	OpGetCredUUIDList:  "GET_CRED_UUID_LIST",
	OpGetCredByUUID:    "GET_CRED_BY_UUID",
	OpRemoveCred:       "REMOVE_CRED",
	OpSetFlags:         "SET_FLAGS",
	OpChown:            "CHOWN",
	OpChmod:            "CHMOD",
	OpGetInitialTicket: "GET_INITIAL_TICKET",
	OpGetTicket:        "GET_TICKET",
	OpMoveCache:        "MOVE_CACHE",
	OpGetCacheUUIDList: "GET_CACHE_UUID_LIST",
	OpGetCacheByUUID:   "GET_CACHE_BY_UUID",
	OpGetDefaultCache:  "GET_DEFAULT_CACHE",
	OpSetDefaultCache:  "SET_DEFAULT_CACHE",
	OpGetKDCOffset:     "GET_KDC_OFFSET",
	OpSetKDCOffset:     "SET_KDC_OFFSET",
	OpAddNTLMCred:      "ADD_NTLM_CRED",
	OpHaveNTLMCred:     "HAVE_NTLM_CRED",
	OpDelNTLMCred:      "DEL_NTLM_CRED",
	OpDoNTLMAuth:       "DO_NTLM_AUTH",
	OpGetNTLMUserList:  "GET_NTLM_USER_LIST",
	OpGetCredList:      "GET_CRED_LIST",
	OpReplace:          "REPLACE",
}

// String returns the opcode's name in the protocol, or its number.
func (op Opcode) String() string {
	if name, ok := opcodeNames[op]; ok {
		return name
	}
	return strconv.Itoa(int(op))
}
