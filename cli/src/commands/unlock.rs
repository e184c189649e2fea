//! `setup unlock`: end somebody else's lease.

use anyhow::Result;
use serde_json::json;

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
    writing,
};
use crate::lease::{self, Ended};

pub(super) async fn run(env: &Env) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let session = Session::open(env, &config, Role::Deployer).await?;
    let ended = lease::end(&session.cx, &session.caller.arn).await?;
    let (held, free_in) = match &ended {
        Ended::None => (None, 0),
        Ended::Gone(held) => (Some(held), 0),
        Ended::Ended(held) => (Some(held), lease::LIFE.as_secs()),
    };
    env.ui.document(
        "unlock",
        &json!({ "was_at_work": held.map(writing::document), "free_in_s": free_in }),
    );
    env.ui.result(&match &ended {
        Ended::None => "nobody is at work".to_owned(),
        Ended::Gone(held) => format!("the lease of {} was over, and is gone", held.told()),
        Ended::Ended(held) => format!(
            "the lease of {} is ended: it stops at its next renewal, within 30 s; the next command waits until \
             that is sure, {free_in} s",
            held.told()
        ),
    });
    Ok(Exit::Done)
}
