//! Accounts on Prosody, set through its console with the commands on standard input, so that no
//! password stands in an argument. The console ends with 0 whatever happened: its answers are read.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jitsi_templates::settings::{Authentication, InstanceSettings};
use jitsi_templates::{Secret, Secrets};

use super::applied::sha256;
use crate::advice::Advice;
use crate::health::Component;
use crate::retry::{Pauses, retry_with};
use crate::system::{Command, System};

/// Prosody's console is there about a second after its start.
const CONSOLE_LIMIT: Duration = Duration::from_secs(30);

/// An account with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `focus@auth.meet.example.com`.
    pub jid: String,
    /// Its password.
    pub password: Secret,
}

impl Account {
    /// Changes with name or password.
    pub(super) fn fingerprint(&self) -> String {
        sha256(format!("{}\0{}", self.jid, self.password.expose()).as_bytes())
    }

    /// Whether it is the one `component` logs in with.
    pub(super) fn is_of(&self, component: Component) -> bool {
        let user = match component {
            Component::Jicofo => "focus@auth.",
            Component::Videobridge => "jvb@auth.",
            Component::Prosody | Component::Nginx => return false,
        };
        self.jid.starts_with(user)
    }
}

/// Everybody who must be able to log in.
pub(super) fn wanted(
    settings: &InstanceSettings,
    secrets: &Secrets,
    people: &[Account],
) -> Vec<Account> {
    let domain = &settings.domain;
    let account = |jid: String, password: &Secret| Account { jid, password: password.clone() };
    let mut accounts = vec![
        account(format!("focus@auth.{domain}"), &secrets.focus),
        account(format!("jvb@auth.{domain}"), &secrets.jvb),
    ];
    if let Authentication::SecureDomain { .. } = settings.jitsi.authentication {
        accounts.push(account(format!("probe@{domain}"), &secrets.probe));
        accounts.extend_from_slice(people);
    }
    accounts
}

/// Creates these accounts or sets their passwords, removes those of `gone`, and puts `client_proxy` on
/// the roster of jicofo's account. Prosody ends the sessions of all of them, also if the password is
/// what it was: nobody who can log in belongs here (`mod_c2s`, `user-password-changed`).
pub(super) async fn ensure(
    system: &dyn System,
    settings: &InstanceSettings,
    accounts: &[Account],
    gone: &[String],
) -> Result<()> {
    let mut commands = Vec::new();
    for Account { jid, password } in accounts {
        let (jid, password) = (lua(jid), lua(password.expose()));
        commands.push(format!("user:create({jid}, {password})"));
        commands.push(format!("user:password({jid}, {password})"));
    }
    commands.extend(gone.iter().map(|jid| format!("user:delete({})", lua(jid))));
    // `client_proxy` answers only whom it finds in the roster of `focus`.
    let focus = accounts.iter().find(|account| account.is_of(Component::Jicofo));
    let proxy = format!("focus.{}", settings.domain);
    if let Some(Account { jid, .. }) = focus {
        commands.push(format!("roster:subscribe_both({}, {})", lua(jid), lua(&proxy)));
        commands.push("module:reload(\"client_proxy\")".to_owned());
    }
    let subscribed =
        retry_with(Pauses::NEAR, "asking Prosody's console", CONSOLE_LIMIT, || async {
            let answers = console(system, &commands).await?;
            let (set, rest) = answers.split_at(2 * accounts.len());
            for (pair, account) in set.chunks(2).zip(accounts) {
                // The first of the two may fail because the account is there; the second may not.
                if let [_, Err(said)] = pair {
                    bail!("{}: {said}", account.jid);
                }
            }
            let (removed, roster) = rest.split_at(gone.len());
            for (removal, jid) in removed.iter().zip(gone) {
                match removal {
                    Err(said) if !said.starts_with("No such") => bail!("removing {jid}: {said}"),
                    _ => tracing::info!("removed the account {jid}"),
                }
            }
            Ok(roster.first().is_none_or(Result::is_ok))
        })
        .await
        .context(Advice::new("setting Prosody's accounts", "prosodyctl shell"))?;
    match focus {
        Some(focus) if !subscribed => subscribe(system, &proxy, &focus.jid).await,
        _ => Ok(()),
    }
}

/// Prosody 0.12 has no roster in its console; Jitsi brings a command of its own for that.
async fn subscribe(system: &dyn System, proxy: &str, user: &str) -> Result<()> {
    let command = Command::new("prosodyctl", ["mod_roster_command", "subscribe", proxy, user]);
    let output = system.run(&command).await?;
    if !output.ok() {
        // Browsers ask for conferences over HTTP: only old clients go through client_proxy.
        tracing::warn!("`{command}`: {}", output.last_words());
    }
    Ok(())
}

/// One answer for each command: what it said when it was an error.
async fn console(system: &dyn System, commands: &[String]) -> Result<Vec<Result<(), String>>> {
    let command = Command::new("prosodyctl", ["shell"]).input(commands.join("\n") + "\n");
    let output = system.run(&command).await?.success(&command)?;
    let answers = answers(&output.stdout);
    ensure!(
        answers.len() == commands.len(),
        "Prosody's console answered {} of {} commands: {}",
        answers.len(),
        commands.len(),
        output.last_words()
    );
    Ok(answers)
}

/// Each command's last line starts with the prompt or stands alone: `| OK: …`, `! Error: …`. Every
/// command ends with exactly one prompt line.
fn answers(printed: &str) -> Vec<Result<(), String>> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix("prosody> "))
        .filter(|answer| !answer.trim().is_empty())
        .map(|answer| match answer.strip_prefix('!') {
            Some(said) => Err(said.trim().trim_start_matches("Error: ").to_owned()),
            None => Ok(()),
        })
        .collect()
}

/// `text` as a Lua string; everything but letters and digits as decimal escapes, so that nothing can
/// end the string or the line.
fn lua(text: &str) -> String {
    let mut quoted = String::from('"');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            quoted.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(quoted, "\\{byte:03}");
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    /// What Prosody 13.0.1 printed for one account that is there and one on an unknown host.
    const PRINTED: &str = "\n   A study in simplicity            |___/\n\n\
        prosody> ! Error: User exists\nprosody> | OK: User password changed\n\
        prosody> ! Error: No such host: nohost\nprosody> ! Error: No such host: nohost\nprosody> \n";

    fn accounts() -> Vec<Account> {
        ["focus@auth.d", "x@nohost"]
            .map(|jid| Account { jid: jid.into(), password: Secret::new("pass\"word\n") })
            .to_vec()
    }

    #[test]
    fn reads_one_answer_for_each_command() {
        let answers = answers(PRINTED);
        assert_eq!(answers.len(), 4);
        assert_eq!(answers[1], Ok(()));
        assert_eq!(answers[3], Err("No such host: nohost".into()));
    }

    #[test]
    fn nothing_ends_a_lua_string() {
        assert_eq!(lua("a\"]]\n\\ü"), r#""a\034\093\093\010\092\195\188""#);
    }

    /// A console that says this to every command with `part` in it, and `OK` to the others.
    fn says(part: &'static str, said: &'static str) -> Fake {
        let system = Fake::default();
        system.answer_by("prosodyctl shell", move |input| {
            let answer = |line: &str| if line.contains(part) { said } else { "| OK" };
            let answers: Vec<&str> = input.lines().map(answer).collect();
            (0, format!("prosody> {}\n", answers.join("\nprosody> ")))
        });
        system
    }

    #[tokio::test]
    async fn without_a_roster_in_the_console_jitsis_own_command_is_asked() {
        let missing = "! Error: The 'roster' section has no such command";
        let system = says("roster:", missing);
        ensure(&system, &crate::config::example(), &accounts(), &[]).await.unwrap();
        let ran = system.ran();
        assert!(ran[1].starts_with("prosodyctl mod_roster_command subscribe focus."), "{ran:?}");
        let system = says("roster:", "| OK");
        ensure(&system, &crate::config::example(), &accounts(), &[]).await.unwrap();
        assert_eq!(system.ran(), ["prosodyctl shell"], "one look at the console does it all");
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_could_not_be_removed_is_an_error_and_one_that_is_gone_is_not() {
        let removing = |said: &'static str| async move {
            let system = says("user:delete", said);
            ensure(&system, &crate::config::example(), &accounts(), &["ann@d".into()]).await
        };
        removing("| OK: User deleted").await.unwrap();
        removing("! Error: No such user").await.unwrap();
        let error = removing("! Error: Could not delete user: disk full").await.unwrap_err();
        assert!(format!("{error:#}").contains("removing ann@d: Could not delete"), "{error:#}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_that_was_not_set_is_an_error_and_no_argument() {
        let system = says("nohost", "! Error: No such host: nohost");
        let settings = crate::config::example();
        let error = ensure(&system, &settings, &accounts(), &[]).await.unwrap_err();
        assert!(format!("{error:#}").contains("x@nohost: No such host: nohost"), "{error:#}");
        assert!(system.ran().iter().all(|line| !line.contains("pass")));
        assert!(system.inputs()[0].contains(r"pass\034word\010"));
    }
}
