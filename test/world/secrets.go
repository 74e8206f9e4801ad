package world

// Canary is in every row of the tables that TestSecretsAndValuesStayInside of
// test/e2e fills; CanaryTable is one of them, and of no other test.
const (
	Canary      = "row-canary-8fd1"
	CanaryTable = "doubled"
)

// Passwords are the secrets of all worlds and of the demo: passwords of roles,
// and the S3 server's key.
func Passwords() []string {
	return []string{
		loaderPW, adminPW, Pipeline + "_repl-pw", Pipeline + "_owner-pw", "walshift-secret", "another-pw", "loader-demo-pw",
	}
}
