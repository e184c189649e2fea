//! `init`: a commented `jitsi.toml`, from flags or by asking on a terminal.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
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
    invocation::{command, for_file},
};

pub(super) fn run(env: &Env, options: args::Init) -> Result<Exit> {
    let path = &env.global.config;
    if path.exists() && !options.force {
        return Err(exists(path).into());
    }
    let answers = Interview { env, problems: Vec::new() }.hold(options)?;
    write(path, &template::render(&answers), env)?;
    env.ui.document("init", &json!({ "path": path }));
    env.ui.result(&format!("wrote {}", path.display()));
    env.ui.next(&command("plan"));
    Ok(Exit::Done)
}

/// Flags first; what is missing is asked for, or reported all at once when nobody is there.
struct Interview<'a> {
    env: &'a Env,
    problems: Vec<String>,
}

impl Interview<'_> {
    fn hold(mut self, options: args::Init) -> Result<Answers> {
        let name = self.answer("--name", options.name, "Deployment name", DeploymentName::parse);
        let region = self.answer(
            "--region",
            self.env.global.region.clone().or_else(|| std::env::var("AWS_REGION").ok()),
            "AWS region, for example eu-central-1",
            Region::parse,
        );
        let domain =
            self.answer("--domain", options.domain, "Host name people will type", Domain::parse);
        let certificate = self.certificate(
            options.certificate_arn,
            options.certificate,
            options.private_key,
            options.chain,
            region.as_ref(),
        );
        let emails = self.emails(options.emails);
        if let (Some(name), Some(region), Some(domain), Some(certificate), Some(emails), true) =
            (name, region, domain, certificate, emails, self.problems.is_empty())
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
    ) -> Option<CertificateAnswer> {
        let parse = |text: &str| CertificateArn::parse(text, region);
        if arn.is_some() {
            let arn = self.answer("--certificate-arn", arn, "", parse)?;
            return Some(CertificateAnswer::Existing { arn });
        }
        if let (Some(certificate), Some(private_key)) = (certificate, private_key) {
            return Some(CertificateAnswer::Import { certificate, private_key, chain });
        }
        let question = "Certificate: a PEM file, or the ARN of one in ACM";
        let path = |text: &str| match text {
            "" => Err("is empty; name a PEM file or an ARN".to_owned()),
            text => Ok(PathBuf::from(text)),
        };
        let given = self.answer("--certificate", None, question, path)?;
        if let Some(arn) = given.to_str().filter(|text| text.starts_with("arn:")) {
            let arn = self.answer("--certificate-arn", Some(arn.to_owned()), "", parse)?;
            return Some(CertificateAnswer::Existing { arn });
        }
        let private_key =
            self.answer("--private-key", None, "Its private key, a PEM file", path)?;
        Some(CertificateAnswer::Import { certificate: given, private_key, chain: None })
    }

    /// No mail is an answer too.
    fn emails(&mut self, given: Vec<String>) -> Option<Vec<Email>> {
        let given = if given.is_empty() {
            let question = "Who gets mail when something dies? Addresses, separated by blanks:";
            let answer = self.env.ui.ask(question).unwrap_or_default();
            answer.split_whitespace().map(str::to_owned).collect()
        } else {
            given
        };
        given
            .into_iter()
            .map(|address| self.answer("--email", Some(address), "", Email::parse))
            .collect()
    }

    /// A flag's value, or the answer to `question`, asked again until it can be used.
    fn answer<T>(
        &mut self,
        flag: &str,
        given: Option<String>,
        question: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given_by_flag = given.is_some();
        let mut answer = given.or_else(|| self.env.ui.ask(&format!("{question}:")));
        loop {
            let Some(text) = answer else {
                self.problems.push(format!("{flag}: is missing"));
                return None;
            };
            match parse(&text) {
                Ok(value) => return Some(value),
                Err(reason) if given_by_flag => {
                    self.problems.push(format!("{flag} {text}: {reason}"));
                    return None;
                }
                Err(reason) => {
                    self.env.ui.say(&format!("  {text}: {reason}"));
                    answer = self.env.ui.ask(&format!("{question}:"));
                }
            }
        }
    }
}

fn write(path: &Path, text: &str, env: &Env) -> Result<()> {
    let failed = |error: std::io::Error| {
        let what = format!("writing {}: {error}", path.display());
        Hinted::user(what, "name a file in a directory that is yours: `--config PATH`")
    };
    // An existing file was agreed to; a new one must not be overwritten in the meantime.
    if path.exists() {
        fs::write(path, text).map_err(failed)?;
        env.ui.warn(&format!("{} was replaced", path.display()));
        return Ok(());
    }
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    match file.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path).into()),
        result => Ok(result.map_err(failed)?),
    }
}

fn exists(path: &Path) -> Hinted {
    Hinted::user(
        format!("{} exists already", path.display()),
        format!("edit it, or replace it with `{}`", command("init --force")),
    )
}
