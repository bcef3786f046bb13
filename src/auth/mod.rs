//! Tokens, passwords, cookies and the throttle before the password.
