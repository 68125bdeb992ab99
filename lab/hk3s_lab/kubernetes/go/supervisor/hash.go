package supervisor

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

// The hash is k3s's: $1:<salt hex>:<log2 N>:<r>:<p>:<base64 without padding of the key>.
const (
	hashFormat  = "$1:%x:%d:%d:%d:%s"
	hashLog2N   = 15
	hashR       = 8
	hashP       = 1
	hashSaltLen = 8
	hashKeyLen  = 64
)

var errWrongPassword = errors.New("the password does not match its hash")

func hashPassword(password string) (string, error) {
	salt := make([]byte, hashSaltLen)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	key, err := scrypt.Key([]byte(password), salt, 1<<hashLog2N, hashR, hashP, hashKeyLen)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(hashFormat, salt, hashLog2N, hashR, hashP, base64.RawStdEncoding.EncodeToString(key)), nil
}

func checkPassword(hash, password string) error {
	var (
		salt       []byte
		log2n      uint
		r, p       int
		encodedKey string
	)
	if _, err := fmt.Sscanf(hash, hashFormat, &salt, &log2n, &r, &p, &encodedKey); err != nil {
		return fmt.Errorf("not a node password's hash: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(encodedKey)
	if err != nil {
		return fmt.Errorf("not a node password's hash: %w", err)
	}
	got, err := scrypt.Key([]byte(password), salt, 1<<log2n, r, p, len(want))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return errWrongPassword
	}
	return nil
}
