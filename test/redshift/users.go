package redshift

import (
	"context"
	"crypto/hmac"
	"crypto/md5" // the protocol's own hash
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// CreateUser makes a login role that is no superuser. It may create schemas
// and temporary tables in the database, and users, groups and roles; calling it
// again changes the password.
func (s *Server) CreateUser(ctx context.Context, name, password string) error {
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	id := pgx.Identifier{name}.Sanitize()
	var exists bool
	if err := s.admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("looking for user %s: %w", name, err)
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	hash := "md5" + md5Hex(password+name)
	for _, sql := range []string{
		verb + " ROLE " + id + " LOGIN NOSUPERUSER CREATEROLE PASSWORD '" + hash + "'",
		"GRANT CREATE, TEMPORARY ON DATABASE " + pgx.Identifier{s.database}.Sanitize() + " TO " + id,
	} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("creating user %s: %w", name, err)
		}
	}
	return nil
}

// role is what a login needs to know of a user.
type role struct {
	secret    string
	superuser bool
	login     bool
}

var errNoRole = errors.New("no such role")

func (s *Server) role(name string) (role, error) {
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	var r role
	err := s.admin.QueryRow(s.ctx, "SELECT coalesce(rolpassword, ''), rolsuper, rolcanlogin FROM pg_authid WHERE rolname = $1", name).Scan(&r.secret, &r.superuser, &r.login)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, errNoRole
	}
	if err != nil {
		return r, fmt.Errorf("reading role %s: %w", name, err)
	}
	return r, nil
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) // the protocol's own hash
	return hex.EncodeToString(sum[:])
}

// authenticate asks the client for its password, by MD5 where the role's secret
// is one, else in clear text, and checks it against the backend's role.
func (c *session) authenticate(r role) (bool, error) {
	if strings.HasPrefix(r.secret, "md5") {
		var salt [4]byte
		if _, err := rand.Read(salt[:]); err != nil {
			return false, fmt.Errorf("making salt: %w", err)
		}
		got, err := c.askPassword(&pgproto3.AuthenticationMD5Password{Salt: salt}, pgproto3.AuthTypeMD5Password)
		want := "md5" + md5Hex(r.secret[3:]+string(salt[:]))
		return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1, err
	}
	got, err := c.askPassword(&pgproto3.AuthenticationCleartextPassword{}, pgproto3.AuthTypeCleartextPassword)
	return r.secret != "" && checkScram(r.secret, got), err
}

func (c *session) askPassword(msg pgproto3.BackendMessage, authType uint32) (string, error) {
	c.cl.Send(msg)
	if err := c.cl.Flush(); err != nil {
		return "", fmt.Errorf("asking for password: %w", err)
	}
	if err := c.cl.SetAuthType(authType); err != nil {
		return "", fmt.Errorf("asking for password: %w", err)
	}
	answer, err := c.cl.Receive()
	if err != nil {
		return "", fmt.Errorf("receiving password: %w", err)
	}
	p, ok := answer.(*pgproto3.PasswordMessage)
	if !ok {
		return "", fmt.Errorf("receiving password: unexpected %T", answer)
	}
	return p.Password, nil
}

// checkScram checks a password against SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>.
func checkScram(secret, password string) bool {
	parts := strings.Split(secret, "$")
	if len(parts) != 3 || parts[0] != "SCRAM-SHA-256" {
		return false
	}
	iter, salt, ok := strings.Cut(parts[1], ":")
	stored, _, ok2 := strings.Cut(parts[2], ":")
	n, err := strconv.Atoi(iter)
	rawSalt, err2 := base64.StdEncoding.DecodeString(salt)
	want, err3 := base64.StdEncoding.DecodeString(stored)
	if !ok || !ok2 || errors.Join(err, err2, err3) != nil {
		return false
	}
	salted, err := pbkdf2.Key(sha256.New, password, rawSalt, n, sha256.Size)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Client Key"))
	got := sha256.Sum256(mac.Sum(nil))
	return subtle.ConstantTimeCompare(got[:], want) == 1
}
