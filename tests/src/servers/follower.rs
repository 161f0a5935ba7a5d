//! A PostgreSQL server that follows another one, and a primary that is one no more.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test run")]

use std::fs::File;

use super::Postgres;

impl Postgres {
    /// Starts a copy of a server that follows it: it takes over every change, and takes none itself. Ask it for
    /// `pg_promote()` and it leads.
    ///
    /// # Panics
    /// When it cannot be copied, or does not start.
    pub fn following(primary: &Self) -> Self {
        let mut server = Self::unmade(primary.durability);
        let mut command = server.command("pg_basebackup");
        command.args([
            "--host=127.0.0.1",
            "--username=postgres",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ]);
        command.arg("--port").arg(primary.port.to_string());
        let output = command.arg("--pgdata").arg(server.data()).output();
        let output = output.expect("run pg_basebackup");
        assert!(
            output.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        server.start_on_a_free_port();
        server
    }

    /// Stops at once and starts on the same port as a replica, which takes no changes.
    ///
    /// # Panics
    /// When it does not start.
    pub fn demote(&self) {
        self.stop();
        let signal = self.data().join("standby.signal");
        File::create(&signal).expect("make a file in the data folder");
        if let Some(owner) = self.owner {
            owner.give(&signal);
        }
        self.start_again();
    }
}
