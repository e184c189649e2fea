//! The question before something is destroyed: a person types the deployment's name, a script has said it
//! beforehand. Every such question is asked here.

use anyhow::Result;

use super::Env;
use crate::{error::Hinted, invocation::command};

/// What is about to happen.
pub(super) struct Question<'a> {
    /// The deployment's name.
    pub deployment: &'a str,
    /// What stands before "Type the deployment's name to go on".
    pub before: String,
    /// Why it does not go on when there is nobody to ask.
    pub unasked: String,
    /// What is true after every answer but the name: "nothing was deleted".
    pub untouched: &'static str,
    /// The command without `--yes`: "setup delete --keep-iam".
    pub words: String,
    /// What `--yes` must be.
    pub yes: Yes,
}

/// What `--yes` must be to stand for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yes {
    /// Alone, or with the deployment's name.
    Plain,
    /// With the deployment's name: a command copied from elsewhere must not delete what is at hand.
    Named,
}

/// Returns when the answer is yes.
pub(super) fn by_name(env: &Env, question: &Question<'_>) -> Result<()> {
    let Question { deployment, before, unasked, untouched, words, yes } = question;
    let exact = match yes {
        Yes::Plain => command(&format!("{words} --yes")),
        Yes::Named => command(&format!("{words} --yes={deployment}")),
    };
    match env.global.yes.as_deref() {
        Some(name) if name == *deployment => return Ok(()),
        Some("") if *yes == Yes::Plain => return Ok(()),
        Some("") => {
            return Err(Hinted::user(
                format!(
                    "`--yes` alone is not enough here: it takes the deployment's name; {untouched}"
                ),
                format!("if you mean `{deployment}`: `{exact}`"),
            )
            .into());
        }
        Some(other) => return Err(misnamed(other, deployment, untouched).into()),
        None => {}
    }
    if !env.ui.can_ask() {
        let hint = format!("say so beforehand: `{exact}`");
        return Err(Hinted::user(unasked.as_str(), hint).into());
    }
    match env.ui.ask(&format!("{before}Type the deployment's name to go on:")) {
        Some(answer) if answer == *deployment => Ok(()),
        Some(_) => Err(Hinted::user(format!("that is not its name; {untouched}"), "").into()),
        None => Err(Hinted::user(format!("no answer; {untouched}"), "").into()),
    }
}

/// `--yes=OTHER` was meant for another deployment, whatever the command.
pub(super) fn refuse_other_name(env: &Env, deployment: &str) -> Result<()> {
    match env.global.yes.as_deref() {
        Some(name) if !name.is_empty() && name != deployment => {
            Err(misnamed(name, deployment, "nothing was done").into())
        }
        _ => Ok(()),
    }
}

fn misnamed(given: &str, deployment: &str, untouched: &str) -> Hinted {
    Hinted::user(
        format!("`--yes={given}` names another deployment than `{deployment}`; {untouched}"),
        format!(
            "name the file of `{given}` with `--config PATH`, or say `--yes={deployment}` if you mean this one"
        ),
    )
}
