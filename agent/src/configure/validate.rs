//! The programs' own checks, before any of them is restarted with new files.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use jitsi_templates::{Consumer, OwnedFile};
use serde_json::Value;

use crate::advice::Advice;
use crate::system::{Command, System};

/// The parser Jitsi's packages bring along.
const HOCON: &str = "/usr/bin/hocon";

/// Values without which a Java service runs and serves nobody, as JSON pointers below the program's
/// section, with the kind they must be. A wrong type leaves a process that never serves and never
/// exits.
const VIDEOBRIDGE: [(&str, Kind); 5] = [
    ("/apis/xmpp-client/configs/shard/PASSWORD", Kind::Text),
    ("/apis/xmpp-client/configs/shard/MUC_JIDS", Kind::Text),
    ("/apis/rest/enabled", Kind::True),
    ("/rest/shutdown/enabled", Kind::True),
    ("/ice/udp/port", Kind::Port),
];
const JICOFO: [(&str, Kind); 3] = [
    ("/xmpp/client/password", Kind::Text),
    ("/bridge/brewery-jid", Kind::Text),
    ("/health/enabled", Kind::True),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    True,
    Port,
}

impl Kind {
    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::True => value.as_bool() == Some(true),
            Self::Port => value.as_u64().is_some_and(|port| (1..=0xffff).contains(&port)),
        }
    }
}

/// Checks the sets of everybody who will be told, all at once: each is a program that takes its time
/// to start.
pub(super) async fn all(
    system: &dyn System,
    files: &[OwnedFile],
    told: &BTreeSet<Consumer>,
) -> Result<()> {
    tokio::try_join!(
        when(told.contains(&Consumer::Prosody), prosody(system)),
        when(
            told.contains(&Consumer::Jicofo),
            hocon_file(system, hocon(files, Consumer::Jicofo), "jicofo", &JICOFO)
        ),
        when(
            told.contains(&Consumer::Videobridge),
            hocon_file(system, hocon(files, Consumer::Videobridge), "videobridge", &VIDEOBRIDGE)
        ),
        when(told.contains(&Consumer::Nginx), nginx(system)),
    )?;
    Ok(())
}

async fn when(wanted: bool, check: impl Future<Output = Result<()>>) -> Result<()> {
    if wanted { check.await } else { Ok(()) }
}

fn hocon(files: &[OwnedFile], consumer: Consumer) -> Option<&Path> {
    files
        .iter()
        .filter(|file| file.consumer == consumer)
        .map(|file| file.path.as_path())
        .find(|path| path.extension().is_some_and(|ext| ext == "conf"))
}

async fn nginx(system: &dyn System) -> Result<()> {
    let command = Command::new("nginx", ["-t", "-q"]);
    system
        .run(&command)
        .await?
        .success(&command)
        .map(drop)
        .context(Advice::new("checking nginx's configuration", "nginx -t"))
}

/// Exit code 2 stands for mere deprecations as well as for warnings, 1 for a syntax error.
async fn prosody(system: &dyn System) -> Result<()> {
    let command = Command::new("prosodyctl", ["check", "config"]);
    let output = system.run(&command).await?;
    if output.code == Some(2) {
        tracing::debug!("`{command}`: {}", output.last_words());
        return Ok(());
    }
    output
        .success(&command)
        .map(drop)
        .context(Advice::new("checking Prosody's configuration", "prosodyctl check config"))
}

/// Has the whole section read at once: the parser is a Ruby program, and its start is what it costs.
async fn hocon_file(
    system: &dyn System,
    path: Option<&Path>,
    section: &str,
    values: &[(&str, Kind)],
) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    if !system.exists(Path::new(HOCON)) {
        tracing::warn!("{HOCON} is missing: {} goes unchecked", path.display());
        return Ok(());
    }
    let next = || format!("hocon -f {} get {section}", path.display());
    let file = path.to_string_lossy();
    let command = Command::new("hocon", ["-j", "-f", &file, "get", section]);
    let output = system.run(&command).await?;
    if !output.ok() {
        // What it has to say is in the first line, the rest is where.
        let said = output.stderr.lines().next().unwrap_or("it said nothing").to_owned();
        bail!(Advice::new(format!("checking {file}: {said}"), next()));
    }
    let read: Value = serde_json::from_str(&output.stdout)
        .with_context(|| format!("checking {file}: the parser printed no JSON"))?;
    for (pointer, kind) in values {
        // The value itself stays out of the message: some of them are secrets.
        let right = read.pointer(pointer).is_some_and(|value| kind.takes(value));
        let key = format!("{section}{}", pointer.replace('/', "."));
        ensure!(
            right,
            Advice::new(format!("checking {file}: {key} is missing or of the wrong kind"), next())
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configure::tests::file;
    use crate::system::fake::Fake;

    fn told(consumer: Consumer) -> BTreeSet<Consumer> {
        BTreeSet::from([consumer])
    }

    #[tokio::test]
    async fn deprecations_pass_and_errors_do_not() {
        let system = Fake::default();
        for (code, passes) in [(0, true), (1, false), (2, true)] {
            system.answer("prosodyctl check config", code, "");
            let result = all(&system, &[], &told(Consumer::Prosody)).await;
            assert_eq!(result.is_ok(), passes, "exit code {code}");
        }
        system.answer("nginx -t", 1, "nginx: [emerg] unknown directive");
        assert!(all(&system, &[], &told(Consumer::Jicofo)).await.is_ok(), "nobody told nginx");
        assert!(all(&system, &[], &told(Consumer::Nginx)).await.is_err());
    }

    #[tokio::test]
    async fn a_value_of_the_wrong_kind_is_named_and_never_shown() {
        let system = Fake::with(&[(HOCON, "")]);
        let file = file("/etc/jitsi/jicofo/jicofo.conf", Consumer::Jicofo);
        let read = |enabled: &str| {
            format!(
                r#"{{"xmpp":{{"client":{{"password":"p"}}}},"bridge":{{"brewery-jid":"b"}},
                "health":{{"enabled":{enabled}}}}}"#
            )
        };
        let files = [file];
        system.answer("hocon -j -f /etc/jitsi/jicofo/jicofo.conf get jicofo", 0, &read("true"));
        all(&system, &files, &told(Consumer::Jicofo)).await.unwrap();
        system.answer("hocon", 0, &read("\"yes\""));
        let error = all(&system, &files, &told(Consumer::Jicofo)).await.unwrap_err().to_string();
        assert!(error.contains("jicofo.health.enabled") && !error.contains("yes"), "{error}");
        system.answer("hocon", 1, "");
        assert!(all(&system, &files, &told(Consumer::Jicofo)).await.is_err());
    }
}
