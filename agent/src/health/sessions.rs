//! People connected to Prosody, asked on its console: the only figure that holds those who wait in a lobby,
//! and tells whose browser is gone (their session hibernates for a minute) from whose is there.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::timeout;

use crate::system::{Command, System};

/// Sessions of people of `domain` and its guests, those that hibernate left out.
pub(super) async fn people(system: &dyn System, domain: &str, limit: Duration) -> Result<u32> {
    // A domain has letters, digits, dots and hyphens only: nothing that could end the string.
    let question = format!(
        "> local n = 0 for _, s in pairs(prosody.full_sessions) do \
         if (s.host == \"{domain}\" or s.host == \"guest.{domain}\") and not s.hibernating \
         then n = n + 1 end end return n\n"
    );
    let command = Command::new("prosodyctl", ["shell"]).input(question);
    let output = timeout(limit, system.run(&command)).await.context("Prosody's console")??;
    result(&output.success(&command)?.stdout).context("Prosody's console gave no number")
}

/// `prosody> | Result: 3`
fn result(printed: &str) -> Option<u32> {
    printed.lines().find_map(|line| line.split_once("| Result: ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn counts_what_the_console_says() {
        let system = Fake::default();
        system.answer("prosodyctl shell", 0, "prosody> | Result: 3\n");
        assert_eq!(people(&system, "meet.example.org", LIMIT).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn without_a_number_nothing_is_known() {
        let system = Fake::default();
        system.answer("prosodyctl shell", 0, "prosody> ! Error: no\n");
        assert!(people(&system, "meet.example.org", LIMIT).await.is_err());
        system.answer("prosodyctl shell", 1, "");
        assert!(people(&system, "meet.example.org", LIMIT).await.is_err());
    }
}
