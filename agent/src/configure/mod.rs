//! From installed packages to one site: files rendered, put in place, validated by the programs that
//! read them, and only then shown to the services, in the order signalling, focus, bridge, web.
//! A set that does not pass is taken back; one that did is remembered, so that a second run has
//! nothing to do and an agent killed half-way finishes.

mod accounts;
mod applied;
mod links;
mod units;
mod validate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jitsi_templates::settings::InstanceSettings;
use jitsi_templates::{
    Consumer, Discovered, OwnedFile, ProsodyModules, Secrets, SiteContext, layout,
};

use crate::advice::Advice;
use crate::health::Component;
use crate::retry::Hopeless;
use crate::system::{self, Owner, System};

pub use accounts::Account;
use applied::Applied;

pub(crate) use applied::is_configured;
pub(crate) use units::systemctl;

/// What configuring changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Files that were written.
    pub written: Vec<PathBuf>,
    /// Services that were restarted or reloaded.
    pub restarted: Vec<Component>,
}

/// A file and what it was; `None` when it was not.
type Before<'f> = (&'f OwnedFile, Option<Vec<u8>>);

/// Everything a configuration follows from.
pub struct Site<'a> {
    /// The operating system.
    pub system: &'a dyn System,
    /// The site's settings.
    pub settings: &'a InstanceSettings,
    /// The instance.
    pub discovered: &'a Discovered,
    /// Its secrets.
    pub secrets: &'a Secrets,
    /// Accounts people have, from SSM; empty but in secure-domain mode.
    pub people: &'a [Account],
    /// Where Prosody's modules lie.
    pub modules: &'a ProsodyModules,
}

impl Site<'_> {
    /// Every file of the site, as it ought to be.
    pub fn files(&self) -> Result<Vec<OwnedFile>> {
        let context = SiteContext {
            settings: self.settings,
            discovered: self.discovered,
            secrets: self.secrets,
            prosody_modules: self.modules,
        };
        let mut files =
            jitsi_templates::render_site(&context).context(Hopeless::new("rendering the site"))?;
        files.extend(self.prosody_certificate()?);
        Ok(files)
    }

    /// Makes the machine match, restarting only who must know. The account of `ill` is set anew even
    /// when nothing seems to have changed.
    pub async fn converge(&self, ill: Option<Component>) -> Result<Outcome> {
        let files = self.files()?;
        let mut applied = Applied::load(self.system)?;
        let stale: Vec<&OwnedFile> = files
            .iter()
            .filter_map(|file| self.is_stale(file, &applied).transpose())
            .collect::<Result<_>>()?;
        let mut told: BTreeSet<Consumer> = stale.iter().map(|file| file.consumer).collect();
        let before = self.remember(&stale, &applied)?;
        if let Err(error) = self.put(&files, &stale, &mut told).await {
            self.take_back(&before)?;
            return Err(error);
        }
        units::settle(self.system, &told).await?;
        let mut restarted = Vec::new();
        restarted.extend(units::restart(self.system, Consumer::Prosody, &told).await?);
        let accounts = accounts::wanted(self.settings, self.secrets, self.people);
        let gone = applied.gone(&accounts);
        let known = gone.is_empty() && accounts.iter().all(|account| applied.has_account(account));
        // Prosody ends the sessions of whomever it is told of; with a restart of its own all end.
        let is_due = |account: &&Account| {
            told.contains(&Consumer::Prosody)
                || !applied.has_account(account)
                || ill.is_some_and(|ill| account.is_of(ill))
        };
        let due: Vec<Account> = accounts.iter().filter(is_due).cloned().collect();
        // Side by side: Java needs longer to its first log-in than Prosody to know the account.
        let set_accounts = async {
            if !due.is_empty() || !gone.is_empty() {
                applied.announce(self.system, &due)?;
                accounts::ensure(self.system, self.settings, &due, &gone).await?;
            }
            anyhow::Ok(())
        };
        let restart_others = async {
            let mut restarted = Vec::new();
            for consumer in [Consumer::Jicofo, Consumer::Videobridge, Consumer::Nginx] {
                restarted.extend(units::restart(self.system, consumer, &told).await?);
            }
            Ok(restarted)
        };
        restarted.extend(tokio::try_join!(set_accounts, restart_others)?.1);
        restarted.extend(units::start_missing(self.system).await?);
        let written: Vec<PathBuf> = stale.iter().map(|file| file.path.clone()).collect();
        if !written.is_empty() || !known {
            applied.keep(self.system, &files, &accounts)?;
        }
        Ok(Outcome { written, restarted })
    }

    /// The owned files whose content on disk is not what was rendered.
    pub fn drift(&self) -> Result<Vec<String>> {
        let mut drift = Vec::new();
        for file in self.files()? {
            if self.on_disk_differs(&file)? {
                drift.push(file.path.display().to_string());
            }
        }
        Ok(drift)
    }

    /// Stale: different on disk, or never seen through validation and restart.
    fn is_stale<'f>(
        &self,
        file: &'f OwnedFile,
        applied: &Applied,
    ) -> Result<Option<&'f OwnedFile>> {
        let stale = !applied.has(file) || self.on_disk_differs(file)?;
        Ok(stale.then_some(file))
    }

    fn on_disk_differs(&self, file: &OwnedFile) -> Result<bool> {
        let owner = Owner { user: file.owner, group: file.group };
        system::differs(self.system, &file.path, file.contents.as_bytes(), file.mode, owner)
    }

    /// What to put back should validation fail: the last set that passed, else what is there now.
    fn remember<'f>(&self, stale: &[&'f OwnedFile], applied: &Applied) -> Result<Vec<Before<'f>>> {
        stale
            .iter()
            .map(|file| {
                let good = match applied.last_good(self.system, &file.path)? {
                    Some(good) => Some(good),
                    None => self.system.read(&file.path)?,
                };
                Ok((*file, good))
            })
            .collect()
    }

    async fn put(
        &self,
        files: &[OwnedFile],
        stale: &[&OwnedFile],
        told: &mut BTreeSet<Consumer>,
    ) -> Result<()> {
        for file in stale {
            let owner = Owner { user: file.owner, group: file.group };
            self.system.write(&file.path, file.contents.as_bytes(), file.mode, owner)?;
        }
        told.extend(links::ensure(self.system, files)?);
        validate::all(self.system, files, told).await
    }

    fn take_back(&self, before: &[Before<'_>]) -> Result<()> {
        for (file, content) in before {
            let owner = Owner { user: file.owner, group: file.group };
            match content {
                Some(content) => self.system.write(&file.path, content, file.mode, owner)?,
                None => self.system.remove(&file.path)?,
            }
        }
        tracing::warn!("the new configuration did not pass: put back the last good one");
        Ok(())
    }

    /// Prosody may not read nginx's copies, so it has its own.
    fn prosody_certificate(&self) -> Result<Vec<OwnedFile>> {
        let copies = [
            (layout::NGINX_CERTIFICATE, layout::PROSODY_CERTIFICATE, false),
            (layout::NGINX_KEY, layout::PROSODY_KEY, true),
        ];
        let copy = |(from, to, secret): (&str, &str, bool)| {
            let contents = system::read_text(self.system, from)?.with_context(|| {
                Advice::new(format!("{from} is missing"), "jitsi-agent install")
            })?;
            Ok(OwnedFile {
                path: Path::new(to).to_owned(),
                owner: "root",
                group: "prosody",
                mode: 0o640,
                contents,
                secret,
                consumer: Consumer::Prosody,
                link: None,
            })
        };
        copies.into_iter().map(copy).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jitsi_templates::settings::Authentication;

    use crate::config;
    use crate::secrets;
    use crate::system::fake::Fake;

    /// A file of a site.
    pub(crate) fn file(path: &str, consumer: Consumer) -> OwnedFile {
        OwnedFile {
            path: path.into(),
            owner: "root",
            group: "root",
            mode: 0o644,
            contents: String::new(),
            secret: false,
            consumer,
            link: None,
        }
    }

    struct Machine {
        system: Fake,
        settings: InstanceSettings,
        secrets: Secrets,
        modules: ProsodyModules,
    }

    impl Machine {
        fn new() -> Self {
            let system = Fake::with(&[
                (layout::NGINX_CERTIFICATE, "certificate"),
                (layout::NGINX_KEY, "key"),
                ("/etc/jitsi/videobridge/jvb.conf", "the package's own"),
            ]);
            system.answer_by("prosodyctl shell", |input| {
                (0, "prosody> | OK\n".repeat(input.lines().count()))
            });
            let secrets = secrets::load_or_make(&system, "i-1").unwrap();
            system.forget_runs();
            Self { system, settings: config::example(), secrets, modules: required_modules() }
        }

        async fn converge(&self, public: &str) -> Result<Outcome> {
            self.converge_with(public, &[]).await
        }

        async fn converge_with(&self, public: &str, people: &[Account]) -> Result<Outcome> {
            self.converge_for(public, people, None).await
        }

        async fn converge_for(
            &self,
            public: &str,
            people: &[Account],
            ill: Option<Component>,
        ) -> Result<Outcome> {
            let discovered = Discovered {
                instance_id: "i-1".into(),
                private_ipv4: [10, 0, 3, 7].into(),
                public_ipv4: public.parse().unwrap(),
                total_memory: 8 << 30,
            };
            let site = Site {
                system: &self.system,
                settings: &self.settings,
                discovered: &discovered,
                secrets: &self.secrets,
                people,
                modules: &self.modules,
            };
            self.system.forget_runs();
            site.converge(ill).await
        }

        fn systemctl(&self) -> Vec<String> {
            let ran = self.system.ran();
            ran.into_iter()
                .filter(|line| line.contains("restart") || line.contains("reload-or"))
                .filter(|line| {
                    ![layout::METADATA_UNIT, units::SYSCTL].iter().any(|u| line.ends_with(u))
                })
                .collect()
        }

        fn jvb_conf(&self) -> String {
            self.system.text("/etc/jitsi/videobridge/jvb.conf").unwrap()
        }
    }

    fn required_modules() -> ProsodyModules {
        "auth_jitsi-anonymous bosh client_proxy limits muc muc_hide_all muc_meeting_id ping smacks \
         websocket"
            .split(' ')
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_run_changes_nothing_and_a_new_address_restarts_the_bridge_alone() {
        let machine = Machine::new();
        let first = machine.converge("198.51.100.7").await.unwrap();
        assert!(first.written.len() > 10);
        assert_eq!(first.restarted, Component::ALL);
        assert_eq!(
            machine.systemctl(),
            [
                "systemctl restart prosody",
                "systemctl restart jicofo",
                "systemctl restart jitsi-videobridge2",
                "systemctl reload-or-restart nginx"
            ]
        );
        assert_eq!(machine.converge("198.51.100.7").await.unwrap(), Outcome::default());
        assert!(machine.systemctl().is_empty());
        machine.converge("198.51.100.8").await.unwrap();
        assert_eq!(machine.systemctl(), ["systemctl restart jitsi-videobridge2"]);
        assert!(machine.jvb_conf().contains("198.51.100.8"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_that_does_not_pass_is_taken_back_and_nobody_restarts() {
        let machine = Machine::new();
        machine.system.put("/usr/bin/hocon", "");
        machine.system.answer("hocon", 1, "");
        assert!(machine.converge("198.51.100.7").await.is_err());
        assert_eq!(machine.jvb_conf(), "the package's own");
        assert!(machine.systemctl().is_empty());
        machine.system.remove(Path::new("/usr/bin/hocon")).unwrap();
        machine.converge("198.51.100.7").await.unwrap();
        machine.system.put("/usr/bin/hocon", "");
        assert!(machine.converge("198.51.100.8").await.is_err());
        assert!(machine.jvb_conf().contains("198.51.100.7"), "the last good set is back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_killed_agent_wrote_is_still_shown_to_the_services() {
        let machine = Machine::new();
        machine.converge("198.51.100.7").await.unwrap();
        // Killed after writing and before restarting: the file is right, the hash is not.
        machine.system.refuse("/var/lib/jitsi-agent/applied.json");
        assert!(machine.converge("198.51.100.8").await.is_err());
        machine.system.allow("/var/lib/jitsi-agent/applied.json");
        machine.converge("198.51.100.8").await.unwrap();
        assert_eq!(machine.systemctl(), ["systemctl restart jitsi-videobridge2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreign_change_is_drift_and_put_right() {
        let machine = Machine::new();
        machine.converge("198.51.100.7").await.unwrap();
        machine.system.put("/etc/jitsi/jicofo/jicofo.conf", "somebody was here");
        machine.converge("198.51.100.7").await.unwrap();
        assert_eq!(machine.systemctl(), ["systemctl restart jicofo"]);
        assert!(machine.system.inputs().iter().all(String::is_empty), "accounts are as they were");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_from_the_store_loses_the_account_and_nobody_else_does() {
        let mut machine = Machine::new();
        machine.settings.jitsi.authentication =
            Authentication::SecureDomain { users_path: "/team/users".into() };
        let account = |user: &str| Account {
            jid: format!("{user}@meet.example.com"),
            password: jitsi_templates::Secret::new("x"),
        };
        let (ann, bob) = (account("ann"), account("bob"));
        let removed = |machine: &Machine| -> Vec<String> {
            let inputs = machine.system.inputs();
            let lines = inputs.iter().flat_map(|input| input.lines());
            lines.filter(|line| line.contains("delete")).map(str::to_owned).collect()
        };
        machine.converge_with("198.51.100.7", &[ann.clone(), bob]).await.unwrap();
        assert_eq!(removed(&machine), [""; 0]);
        // Killed before it could note that it was done, it does so again.
        machine.system.answer("prosodyctl shell", 1, "");
        assert!(machine.converge_with("198.51.100.7", std::slice::from_ref(&ann)).await.is_err());
        machine.system.answer_by("prosodyctl shell", |input| {
            (0, "prosody> | OK\n".repeat(input.lines().count()))
        });
        let outcome =
            machine.converge_with("198.51.100.7", std::slice::from_ref(&ann)).await.unwrap();
        assert_eq!(removed(&machine), [r#"user:delete("bob\064meet\046example\046com")"#]);
        assert_eq!(outcome, Outcome::default(), "nothing is restarted for it");
        machine.converge_with("198.51.100.7", &[ann]).await.unwrap();
        assert_eq!(removed(&machine), [""; 0]);
    }

    /// Prosody cuts off whoever it is told of, with the very same password, too.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_cut_off_because_somebody_else_comes_or_is_ill() {
        let mut machine = Machine::new();
        machine.settings.jitsi.authentication =
            Authentication::SecureDomain { users_path: "/team/users".into() };
        let person = |user: &str, password: &str| Account {
            jid: format!("{user}@meet.example.com"),
            password: jitsi_templates::Secret::new(password),
        };
        let told = async |people: &[Account], ill| -> Vec<String> {
            machine.converge_for("198.51.100.7", people, ill).await.unwrap();
            let inputs = machine.system.inputs().concat();
            let users = inputs.lines().filter_map(|line| line.strip_prefix("user:password(\""));
            users.map(|line| line.split('\\').next().unwrap().to_owned()).collect()
        };
        let (ann, bob) = (person("ann", "x"), person("bob", "x"));
        assert_eq!(told(std::slice::from_ref(&ann), None).await, ["focus", "jvb", "probe", "ann"]);
        assert_eq!(told(&[ann.clone(), bob.clone()], None).await, ["bob"]);
        assert_eq!(told(&[ann, person("bob", "new")], None).await, ["bob"]);
        assert_eq!(told(&[], Some(Component::Videobridge)).await, ["jvb"]);
        assert_eq!(told(&[], Some(Component::Nginx)).await, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_service_is_started_without_any_change() {
        let machine = Machine::new();
        machine.converge("198.51.100.7").await.unwrap();
        machine.system.answer("systemctl is-active --quiet jicofo", 3, "");
        let outcome = machine.converge("198.51.100.7").await.unwrap();
        assert!(outcome.written.is_empty());
        assert_eq!(outcome.restarted, [Component::Jicofo]);
        assert_eq!(machine.systemctl(), ["systemctl restart jicofo"]);
    }
}
