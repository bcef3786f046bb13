//! The text of the systemd unit, and why each line is there.

use std::path::Path;

/// What the unit depends on.
pub(super) struct Unit<'a> {
    /// Whether it is one of the whole system, and not of one user.
    pub(super) system: bool,
    /// Who it runs as, when it is one of the system.
    pub(super) user: &'a str,
    pub(super) program: &'a Path,
    pub(super) data: &'a Path,
    /// Where engines are looked for.
    pub(super) path: &'a str,
}

impl Unit<'_> {
    /// The unit's text.
    pub(super) fn text(&self) -> String {
        let program = quoted(&self.program.to_string_lossy());
        let data = quoted(&self.data.to_string_lossy());
        let path = quoted(&format!("PATH={}", self.path));
        let (after, user, wanted_by, hardening) = match self.system {
            true => (
                "After=network-online.target\nWants=network-online.target\n",
                format!("User={}\n", self.user),
                "multi-user.target",
                SYSTEM_HARDENING,
            ),
            false => ("", String::new(), "default.target", ""),
        };
        format!(
            "# Written by `skep service install`; it is written anew by the next one. Changes of your own belong in\n\
             # `systemctl {edit} skep`, settings in skep.toml.\n\
             [Unit]\n\
             Description=Skep, a beehive for AI workers\n\
             {after}\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart={program} serve --data {data}\n\
             WorkingDirectory=~\n\
             {user}\
             {ENVIRONMENT}\
             Environment={path}\n\
             {PROCESSES}\
             {HARDENING}{hardening}\
             \n\
             [Install]\n\
             WantedBy={wanted_by}\n",
            edit = if self.system { "edit" } else { "--user edit" },
        )
    }
}

const ENVIRONMENT: &str = "\
# What engines need: PATH as it was when this was written, so that they are found; HOME, where their sign-ins are,
# comes from systemd. An engine that uses git over ssh needs SSH_AUTH_SOCK: it is passed on if systemd knows it
# (`systemctl --user import-environment SSH_AUTH_SOCK`). Secrets belong in a file: EnvironmentFile=, mode 0600.
PassEnvironment=SSH_AUTH_SOCK
";

const PROCESSES: &str = "\
Restart=on-failure
RestartSec=2
# Exit code 2 is a wrong command line or setting: trying again changes nothing.
RestartPreventExitStatus=2
# The server alone is told to stop: it ends its engines itself, politely, each under its guard. What is left after
# that, or after the time, is killed.
KillMode=mixed
TimeoutStopSec=30
LimitNOFILE=65536
TasksMax=8192
UMask=0077
";

/// What no engine needs. Not among it: MemoryDenyWriteExecute (node and Python compile at run time), ProtectHome,
/// ProtectSystem and PrivateTmp (engines work on the user's files and find their own there).
const HARDENING: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
";

/// What only the system's own manager can give.
const SYSTEM_HARDENING: &str = "\
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
CapabilityBoundingSet=
";

/// A word of a unit: systemd takes quotes, backslashes, `%` and `$` for more than they are.
fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(system: bool) -> String {
        Unit {
            system,
            user: "bee",
            program: Path::new("/opt/my \"apps\"/skep"),
            data: Path::new("/data/100%$HOME"),
            path: "/usr/bin:/bin",
        }
        .text()
    }

    #[test]
    fn words_are_taken_as_they_are() {
        let text = unit(false);
        let start = "ExecStart=\"/opt/my \\\"apps\\\"/skep\" serve --data \"/data/100%%$$HOME\"\n";
        assert!(text.contains(start), "{text}");
        assert!(
            text.contains("Environment=\"PATH=/usr/bin:/bin\"\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| !line.starts_with(' ')), "{text}");
    }

    #[test]
    fn each_manager_gets_what_it_can_do() {
        let (user, system) = (unit(false), unit(true));
        for line in [
            "KillMode=mixed",
            "Restart=on-failure",
            "NoNewPrivileges=yes",
        ] {
            assert!(user.contains(line) && system.contains(line), "{line}");
        }
        assert!(!user.contains("User=") && !user.contains("ProtectClock"));
        assert!(system.contains("\nUser=bee\n") && system.contains("ProtectClock=yes"));
        assert!(user.ends_with("WantedBy=default.target\n"));
        assert!(system.ends_with("WantedBy=multi-user.target\n"));
    }
}
