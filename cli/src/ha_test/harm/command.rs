//! A signal to a service on the instance, sent through Systems Manager.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_ssm::{
    operation::get_command_invocation::GetCommandInvocationOutput, types::CommandInvocationStatus,
};
use serde_json::json;

use super::{Service, Victim};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::Key,
    error::Hinted,
    invocation::{self, aws_cli},
    names::Names,
    policy::Permission,
    tags,
    wait::{self, Progress},
};

/// AWS's own document that runs a shell script.
const DOCUMENT: &str = "AWS-RunShellScript";

// `SendCommand`, TimeoutSeconds: how long it waits for the instance to take the command; the least is 30.
const DELIVERY_LIMIT: i32 = 60;
// An agent that is connected takes it within seconds.
const LIMIT: Duration = Duration::from_secs(90);

/// Sends `signal` to all processes of the service, and waits until it was sent.
pub(super) async fn signal(cx: &Cx, victim: &Victim, service: Service, signal: &str) -> Result<()> {
    let (id, unit) = (&victim.instance_id, service.unit());
    let doing = format!("sending SIG{signal} to {unit} on {id}");
    let sent = cx
        .aws
        .ssm
        .send_command()
        .document_name(DOCUMENT)
        .instance_ids(id)
        .timeout_seconds(DELIVERY_LIMIT)
        .parameters("commands", vec![format!("systemctl kill --signal={signal} {unit}.service")])
        .send()
        .await
        .doing(&doing);
    let command = match sent {
        Ok(answer) => answer.command.and_then(|command| command.command_id).unwrap_or_default(),
        Err(error) if error.is(&["InvalidInstanceId"]) => return Err(unmanaged(cx, error)),
        Err(error) => return Err(error.into()),
    };
    wait::until(cx, &Key::Instance, LIMIT, || async {
        let call = cx.aws.ssm.get_command_invocation().command_id(&command).instance_id(id);
        // A command just sent is not known yet.
        let known = call.send().await.unless(&["InvocationDoesNotExist"], &doing)?;
        let Some(invocation) = known else { return Ok(Progress::Pending(doing.clone())) };
        match invocation.status() {
            Some(CommandInvocationStatus::Success) => Ok(Progress::Ready(())),
            None
            | Some(
                CommandInvocationStatus::Pending
                | CommandInvocationStatus::InProgress
                | CommandInvocationStatus::Delayed,
            ) => Ok(Progress::Pending(format!("{doing}: {}", details(&invocation)))),
            Some(_) => Err(failed(cx, id, &doing, &invocation).into()),
        }
    })
    .await
}

/// AWS's document, and only on instances of ours (Systems Manager user guide, "Restricting Run Command
/// access based on tags").
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    let document = format!("arn:{}:ssm:{}::document/{DOCUMENT}", names.partition(), names.region());
    let owner = format!("ssm:resourceTag/{}", tags::DEPLOYMENT);
    vec![
        Permission::read(&["ssm:GetCommandInvocation"]),
        Permission::write(&["ssm:SendCommand"]).on([document]),
        Permission::write(&["ssm:SendCommand"])
            .on([names.arn("ec2", "instance/*")])
            .when(json!({ "StringEquals": { owner: names.deployment() } })),
    ]
}

/// `Undeliverable`, `DeliveryTimedOut`: more than the status says.
fn details(invocation: &GetCommandInvocationOutput) -> &str {
    invocation.status_details().unwrap_or("no status")
}

/// Tells which instances Systems Manager reaches; the deployer may not ask.
const MANAGED: &str = "ssm describe-instance-information";

/// Systems Manager does not know the instance.
fn unmanaged(cx: &Cx, error: AwsError) -> anyhow::Error {
    let hint = format!(
        "its Systems Manager agent is not connected: on Debian jitsi-agent installs it once the \
         instance serves; see who is with `{}`, or kill the whole instance instead: `{}`",
        aws_cli(MANAGED, cx.names.region(), None),
        invocation::command("ha-test")
    );
    anyhow::Error::new(error)
        .context(Hinted::user("Systems Manager cannot reach the instance", hint))
}

fn failed(cx: &Cx, id: &str, doing: &str, invocation: &GetCommandInvocationOutput) -> Hinted {
    let details = details(invocation);
    let region = cx.names.region();
    let said = invocation.standard_error_content().unwrap_or_default().trim();
    let hint = match details {
        "Undeliverable" | "Delivery Timed Out" | "DeliveryTimedOut" | "Terminated" => {
            format!(
                "the Systems Manager agent on the instance did not answer: see `{}`, then try again",
                aws_cli(MANAGED, region, None)
            )
        }
        _ => format!(
            "see what runs there: `{}`, then `systemctl --failed`",
            aws_cli(&format!("ssm start-session --target {id}"), region, None)
        ),
    };
    let why = if said.is_empty() { String::new() } else { format!(": {said}") };
    Hinted::ours(format!("{doing}: {details}{why}"), hint)
}
