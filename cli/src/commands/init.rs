//! `init`: a commented `jitsi.toml`, from flags or by asking on a terminal.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use jitsi_templates::settings::Domain;
use serde_json::json;

use super::{Env, Exit};
use crate::{
    args,
    config::{
        CertificateArn, DeploymentName, Email, Region,
        template::{self, Answers, CertificateAnswer},
    },
    error::Hinted,
    input_file,
    invocation::{command, for_file, quoted},
};

pub(super) fn run(env: &Env, options: args::Init) -> Result<Exit> {
    let path = &env.global.config;
    let replace = command(&options.words(true));
    if path.exists() && !options.force {
        return Err(exists(path, &replace).into());
    }
    replaceable(path).map_err(|error| unwritten(path, &error))?;
    let again = command(&options.words(options.force));
    let answers = Interview { env, again, problems: Vec::new() }.hold(options)?;
    write(path, &template::render(&answers), env, &replace)?;
    env.ui.document("init", &json!({ "path": path }));
    env.ui.result(&format!("wrote {}", path.display()));
    env.ui.next(&command("plan"));
    Ok(Exit::Done)
}

/// Flags first; what is missing is asked for, or reported all at once when nobody is there.
struct Interview<'a> {
    env: &'a Env,
    /// The command that was typed.
    again: String,
    problems: Vec<String>,
}

/// What somebody said about the certificate.
enum Named {
    File(PathBuf),
    Arn(CertificateArn),
    Request,
}

impl Interview<'_> {
    fn hold(mut self, options: args::Init) -> Result<Answers> {
        let name =
            self.answer("--name", options.name, "Deployment name:", DeploymentName::parse)?;
        let region = self.answer(
            "--region",
            self.env.global.region.clone().or_else(|| std::env::var("AWS_REGION").ok()),
            "AWS region, for example eu-central-1:",
            Region::parse,
        )?;
        let domain =
            self.answer("--domain", options.domain, "Host name people will type:", Domain::parse)?;
        let certificate = if options.request_certificate {
            Some(CertificateAnswer::Request { hosted_zone: None })
        } else {
            self.certificate(
                options.certificate_arn,
                options.certificate,
                options.private_key,
                options.chain,
                region.as_ref(),
            )?
        };
        let emails = self.emails(options.emails)?;
        if let (Some(name), Some(region), Some(domain), Some(certificate), true) =
            (name, region, domain, certificate, self.problems.is_empty())
        {
            return Ok(Answers { name, region, domain, certificate, emails });
        }
        let count = self.problems.len();
        let what = if count == 1 { "1 answer".to_owned() } else { format!("{count} answers") };
        let example = for_file(
            "init --name jitsi --region eu-central-1 --domain meet.example.org --certificate \
             fullchain.pem --private-key privkey.pem --email ops@example.org",
        );
        let hint = format!("for example `{example}`");
        Err(Hinted::user(format!("{what} cannot be used; nothing was written"), hint)
            .with(self.problems)
            .into())
    }

    fn certificate(
        &mut self,
        arn: Option<String>,
        certificate: Option<PathBuf>,
        private_key: Option<PathBuf>,
        chain: Option<PathBuf>,
        region: Option<&Region>,
    ) -> Result<Option<CertificateAnswer>> {
        let parse = |text: &str| CertificateArn::parse(text, region);
        let named = match (arn, certificate) {
            (Some(arn), _) => {
                let question = "ARN of a certificate in ACM:";
                self.answer("--certificate-arn", Some(arn), question, parse)?.map(Named::Arn)
            }
            (None, Some(path)) => Some(Named::File(path)),
            (None, None) => {
                let question = "Certificate: a PEM file, the ARN of one in ACM, or `request` to have ACM issue one:";
                self.answer("--certificate", None, question, |text| match text {
                    "request" => Ok(Named::Request),
                    arn if arn.starts_with("arn:") => parse(arn).map(Named::Arn),
                    file => path(file).map(Named::File),
                })?
            }
        };
        Ok(match named {
            None => None,
            Some(Named::Arn(arn)) => Some(CertificateAnswer::Existing { arn }),
            Some(Named::Request) => Some(CertificateAnswer::Request { hosted_zone: None }),
            Some(Named::File(certificate)) => {
                let private_key = match private_key {
                    Some(given) => Some(given),
                    None => {
                        self.answer("--private-key", None, "Its private key, a PEM file:", path)?
                    }
                };
                private_key.map(|private_key| CertificateAnswer::Import {
                    certificate: self.placed(&certificate),
                    private_key: self.placed(&private_key),
                    chain: chain.map(|chain| self.placed(&chain)),
                })
            }
        })
    }

    /// The path as the file shall have it: relative to itself where that leads to it. One that leads
    /// nowhere yet is told of: the file may still come.
    fn placed(&self, path: &Path) -> PathBuf {
        let base = self.env.global.config.parent().unwrap_or(Path::new(""));
        if base.join(path).exists() {
            return path.to_owned();
        }
        if let Ok(found) = path.canonicalize() {
            return found;
        }
        let (shown, plan) = (path.display(), command("plan"));
        self.env.ui.warn(&format!("{shown} does not exist yet; `{plan}` needs it"));
        path.to_owned()
    }

    /// No mail is an answer too.
    fn emails(&mut self, given: Vec<String>) -> Result<Vec<Email>> {
        let given = if given.is_empty() && self.can_ask() {
            let question = "Who gets mail when something dies? Addresses, separated by blanks or commas; nothing for nobody:";
            vec![self.env.ui.ask(question).ok_or_else(|| self.ended())?]
        } else {
            given
        };
        let addresses = given.iter().flat_map(|line| line.split([',', ';', ' ', '\t']));
        let mut emails: Vec<Email> = Vec::new();
        for address in addresses.map(str::trim).filter(|address| !address.is_empty()) {
            let question = "Instead of that (nothing: leave it out):";
            // Empty stands for none.
            let parse = |text: &str| match text {
                "" => Ok(None),
                text => Email::parse(text).map(Some),
            };
            let email = self.answer("--email", Some(address.to_owned()), question, parse)?;
            let Some(Some(email)) = email else { continue };
            if !emails.iter().any(|known| known.as_str().eq_ignore_ascii_case(email.as_str())) {
                emails.push(email);
            }
        }
        Ok(emails)
    }

    /// A flag's value, or the answer to `question`, which is asked again until it can be used. `None`
    /// when there is no usable one and nobody to ask: that is noted.
    fn answer<T>(
        &mut self,
        flag: &str,
        given: Option<String>,
        question: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let ui = &self.env.ui;
        let can_ask = self.can_ask();
        let mut answer = given;
        loop {
            let wrong = match answer.as_deref().map(str::trim) {
                None if can_ask => None,
                None => Some(format!("{flag}: is missing")),
                Some(text) => match parse(text) {
                    Ok(value) => return Ok(Some(value)),
                    Err(reason) if can_ask => {
                        ui.say(&format!("  {text}: {reason}"));
                        None
                    }
                    Err(reason) => Some(format!("{flag} {text}: {reason}")),
                },
            };
            if let Some(problem) = wrong {
                self.problems.push(problem);
                return Ok(None);
            }
            answer = Some(ui.ask(question).ok_or_else(|| self.ended())?);
        }
    }

    /// Whether somebody is there to be asked, and wants to be.
    fn can_ask(&self) -> bool {
        self.env.global.yes.is_none() && self.env.ui.can_ask()
    }

    /// Ctrl-D instead of an answer.
    fn ended(&self) -> Hinted {
        Hinted::user(
            "the answers ended before all was asked; nothing was written",
            format!("run `{}` again", self.again),
        )
    }
}

/// A path as a person types it.
fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("is empty; name a PEM file, an ARN, or type `request`".to_owned());
    }
    let Some(rest) = text.strip_prefix('~') else { return Ok(PathBuf::from(text)) };
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match (home, rest.strip_prefix('/')) {
        (Some(home), Some(below)) => Ok(home.join(below)),
        _ => Err("begins with ~, which stands for no directory here; write the whole path".into()),
    }
}

fn write(path: &Path, text: &str, env: &Env, replace: &str) -> Result<()> {
    let failed = |error: io::Error| unwritten(path, &error);
    // An existing file was agreed to; a new one must not be overwritten in the meantime.
    if path.exists() {
        fs::write(path, text).map_err(failed)?;
        env.ui.warn(&format!("{} was replaced", path.display()));
        return Ok(());
    }
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    match file.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path, replace).into()),
        result => Ok(result.map_err(failed)?),
    }
}

/// Whether there is a directory for it, and nothing in its place but a file: a pipe would be waited for until
/// somebody reads it.
fn replaceable(path: &Path) -> io::Result<()> {
    match input_file::check(path, u64::MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            directory.map_or(Ok(()), |directory| fs::metadata(directory).map(drop))
        }
        checked => checked,
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Hinted {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room, and run the command again".to_owned()
        }
        ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path).display().to_string();
            format!("make the directory first: `mkdir -p {}`", quoted(&directory))
        }
        _ => "name a file in a directory that is yours: `--config PATH`".to_owned(),
    };
    Hinted::user(format!("writing {}: {}", path.display(), input_file::why(error)), hint)
}

fn exists(path: &Path, replace: &str) -> Hinted {
    Hinted::user(
        format!("{} exists already", path.display()),
        format!("edit it, or replace it with `{replace}`"),
    )
}
