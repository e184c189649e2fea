//! What every part of the running agent shares: the machine, the site, the instance, and the ways
//! to AWS.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use aws_config::SdkConfig;
use jitsi_templates::settings::{Authentication, InstanceSettings};
use jitsi_templates::{Discovered, ProsodyModules, Secrets, layout};
use meeting_probe::Prober;

use crate::configure::{Account, Outcome, Site};
use crate::health::{Component, Endpoints};
use crate::imds::Identity;
use crate::system::{System, memory_mib};
use crate::{install, meeting, proven, secrets, ssm};

/// The machine below one folder, and the ports its services have.
pub struct Machine {
    /// The operating system.
    pub system: Box<dyn System>,
    /// Where its files begin; `/` in service.
    pub root: PathBuf,
    /// Where its services listen.
    pub endpoints: Endpoints,
}

impl Machine {
    /// Where the running agent answers.
    pub fn agent_socket(&self) -> PathBuf {
        self.root.join(layout::AGENT_SOCKET.trim_start_matches('/'))
    }
}

/// The agent's instance, once it knows who it is.
pub struct Node {
    /// The machine.
    pub machine: Machine,
    /// The site's settings.
    pub settings: InstanceSettings,
    /// The SDK's configuration.
    pub sdk: SdkConfig,
    identity: Mutex<Identity>,
    private: OnceLock<Private>,
}

/// What is secret about a site.
struct Private {
    secrets: Secrets,
    people: Mutex<People>,
}

/// People's accounts.
#[derive(Default)]
struct People {
    /// As SSM last had them.
    kept: Arc<[Account]>,
    /// As Prosody has them.
    told: Option<Arc<[Account]>>,
    /// Parameters that are nobody's account.
    skipped: Vec<String>,
}

impl Private {
    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// The node of `identity`; its secrets are read later.
    pub fn new(
        machine: Machine,
        settings: InstanceSettings,
        sdk: SdkConfig,
        identity: Identity,
    ) -> Self {
        let identity = Mutex::new(identity);
        Self { machine, settings, sdk, identity, private: OnceLock::new() }
    }

    /// Reads the secrets from this machine and from SSM, once.
    pub async fn read_secrets(&self) -> Result<()> {
        if self.private.get().is_some() {
            return Ok(());
        }
        let kept = ssm::read(&self.sdk, &self.settings).await?;
        let mut secrets = secrets::load_or_make(self.system(), &self.identity().instance_id)?;
        secrets.token = kept.token;
        // Somebody else's reading would have been the same.
        let people =
            Mutex::new(People { kept: kept.people.into(), told: None, skipped: kept.skipped });
        let _ = self.private.set(Private { secrets, people });
        Ok(())
    }

    /// Reads people's accounts from SSM again; true when somebody came, left or has a new password
    /// Prosody does not know yet: [`Node::converge`] tells it.
    pub async fn renew_people(&self) -> Result<bool> {
        let Authentication::SecureDomain { .. } = self.settings.jitsi.authentication else {
            return Ok(false);
        };
        let kept = ssm::read(&self.sdk, &self.settings).await?;
        let mut people = self.private()?.people();
        people.kept = kept.people.into();
        people.skipped = kept.skipped;
        Ok(people.told.as_ref() != Some(&people.kept))
    }

    /// What does not stand in the way of a meeting, and wants to be looked at.
    pub fn warnings(&self) -> Vec<String> {
        let skipped = self.private.get().map(|private| private.people().skipped.clone());
        skipped.unwrap_or_default()
    }

    fn private(&self) -> Result<&Private> {
        self.private.get().ok_or_else(|| anyhow!("the secrets have not been read yet"))
    }

    /// The operating system.
    pub fn system(&self) -> &dyn System {
        &*self.machine.system
    }

    /// Who the instance is, by the newest look.
    pub fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of new addresses.
    pub fn set_identity(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Sees to it that everything is installed, by the unit for it.
    pub async fn ensure_installed(&self) -> Result<()> {
        install::ensure(self.system(), &self.settings).await
    }

    /// Installs what is missing; true when something was.
    pub async fn install(&self) -> Result<bool> {
        if install::is_complete(self.system(), &self.settings).await? {
            return Ok(false);
        }
        let proven = proven::read(self).await;
        let secrets = &self.private()?.secrets;
        install::install(self.system(), &self.settings, secrets, proven.as_ref()).await?;
        Ok(true)
    }

    /// Makes the configuration match; see [`Site::converge`].
    pub async fn converge(&self, ill: Option<Component>) -> Result<Outcome> {
        let (discovered, modules) = self.discovered_and_modules()?;
        let private = self.private()?;
        let people = Arc::clone(&private.people().kept);
        let outcome = self.site(&discovered, &modules, &people)?.converge(ill).await?;
        private.people().told = Some(people);
        Ok(outcome)
    }

    /// Every file of the site as it ought to be.
    pub fn files(&self) -> Result<Vec<jitsi_templates::OwnedFile>> {
        let (discovered, modules) = self.discovered_and_modules()?;
        self.site(&discovered, &modules, &[])?.files()
    }

    /// Owned files whose content is not what was rendered.
    pub fn drift(&self) -> Result<Vec<String>> {
        let (discovered, modules) = self.discovered_and_modules()?;
        self.site(&discovered, &modules, &[])?.drift()
    }

    /// A meeting probe for this site and these addresses.
    pub fn prober(&self) -> Result<Prober> {
        let discovered = self.discovered()?;
        let secrets = &self.private()?.secrets;
        meeting::prober(&self.settings, secrets, &discovered, self.machine.endpoints.nginx)
    }

    fn discovered_and_modules(&self) -> Result<(Discovered, ProsodyModules)> {
        let folders = layout::PROSODY_PLUGINS
            .map(|folder| self.machine.root.join(folder.trim_start_matches('/')));
        let modules =
            ProsodyModules::on_disk(&folders).context("listing the Prosody modules on disk")?;
        Ok((self.discovered()?, modules))
    }

    fn discovered(&self) -> Result<Discovered> {
        let identity = self.identity();
        Ok(Discovered {
            instance_id: identity.instance_id,
            private_ipv4: identity.private_ipv4,
            public_ipv4: identity.public_ipv4,
            total_memory: memory_mib(self.system())? << 20,
        })
    }

    fn site<'a>(
        &'a self,
        discovered: &'a Discovered,
        modules: &'a ProsodyModules,
        people: &'a [Account],
    ) -> Result<Site<'a>> {
        let private = self.private()?;
        Ok(Site {
            system: self.system(),
            settings: &self.settings,
            discovered,
            secrets: &private.secrets,
            people,
            modules,
        })
    }
}
