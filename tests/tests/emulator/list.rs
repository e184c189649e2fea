//! Which deployments there are, whatever `jitsi.toml` says: `list`, what a deletion that finds nothing tells,
//! and that the files on this machine stay with the deployment they belong to.

use std::fs;

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::{Account, Emulator},
};
use serde_json::{Value, json};

fn result(run: &Run) -> Value {
    run.document()["result"].clone()
}

/// The files that the deployment has left on this machine.
fn files(jitsi: &Deployment) -> [Vec<u8>; 2] {
    ["credentials", ".ssh/jitsi-aws-jitsi"].map(|name| fs::read(jitsi.path(name)).unwrap())
}

async fn account() -> Account {
    Emulator::shared().account().await
}

#[tokio::test]
async fn deployments_are_listed_until_they_are_gone() {
    let jitsi = Deployment::new(account().await, "jitsi");
    let empty = result(&jitsi.succeed(&["list"]));
    assert_eq!((&empty["deployments"], &empty["elsewhere"]), (&json!([]), &json!([])));
    jitsi.succeed(&["setup", "all"]);
    let two = Deployment::new(jitsi.account.clone(), "two");
    two.configure(|text| text.replace("eu-central-1", "eu-west-1"));
    two.succeed(&["setup", "iam"]);

    let list = jitsi.succeed(&["list"]);
    assert_eq!(list.writes(), []);
    let list = result(&list);
    assert_eq!(
        (&list["account"], &list["region"]),
        (&json!(jitsi.account.id), &json!("eu-central-1"))
    );
    let [one] = &list["deployments"].as_array().unwrap()[..] else { panic!("one: {list}") };
    assert_eq!((&one["name"], &one["domain"]), (&json!("jitsi"), &json!("jitsi.example.org")));
    assert!(one["tagged"].as_u64() > Some(10) && one["since"].is_string(), "{one}");
    assert_eq!(one["instances"][0]["state"], "InService", "{one}");
    let [other] = &list["elsewhere"].as_array().unwrap()[..] else { panic!("one: {list}") };
    assert_eq!((&other["name"], &other["region"]), (&json!("two"), &json!("eu-west-1")));

    let text = jitsi.run(&["list"]).stdout;
    for word in ["jitsi.example.org", "InService", "jitsi-aws list --region eu-west-1"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    jitsi.succeed(&["setup", "delete"]);
    two.succeed(&["setup", "delete"]);
    let list = result(&jitsi.succeed(&["list"]));
    assert_eq!(list["deployments"], json!([]), "though the tagging API names what is deleted");
    assert_eq!(list["elsewhere"], json!([]));
}

#[tokio::test]
async fn a_list_needs_a_region_and_nothing_else() {
    let jitsi = Deployment::new(account().await, "jitsi");
    fs::remove_file(jitsi.path("jitsi.toml")).unwrap();
    let nowhere = jitsi.run(&["list"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("jitsi-aws list --region"), "{}", nowhere.stderr);
    assert_eq!(jitsi.run(&["list", "--region", "Frankfurt"]).code, 1);
    let list = jitsi.run(&["list", "--region", "eu-central-1"]);
    assert_eq!(list.code, 0, "{}", list.stderr);
    assert!(list.stdout.contains("no deployment in eu-central-1"), "{}", list.stdout);
}

#[tokio::test]
async fn a_deletion_that_finds_nothing_tells_what_there_is() {
    let jitsi = Deployment::new(account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    jitsi.configure(|text| text.replace("name = \"jitsi\"", "name = \"renamed\""));
    let delete = jitsi.run(&["setup", "delete", "--yes"]);
    let told = format!("{}{}", delete.stdout, delete.stderr);
    assert_eq!(delete.code, 0, "{told}");
    assert!(told.contains("there is no deployment \"renamed\" in eu-central-1"), "{told}");
    assert!(told.contains(" jitsi ") && !told.contains("0 left"), "{told}");
    let delete = jitsi.run(&["setup", "delete", "--yes=renamed", "--json", "--verbose"]);
    assert_eq!(delete.code, 0, "{}", delete.stderr);
    assert_eq!(delete.writes(), []);
    assert_eq!(result(&delete)["others"]["deployments"][0]["name"], "jitsi");
    jitsi.configure(str::to_owned);
    jitsi.succeed(&["setup", "delete"]);
}

#[tokio::test]
async fn another_region_has_nothing_of_ours() {
    let jitsi = Deployment::new(account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let before = files(&jitsi);
    for command in ["delete", "all"] {
        let command = ["setup", command, "--region", "eu-west-1", "--yes", "--json", "--verbose"];
        let run = jitsi.run(&command);
        assert_eq!(run.code, 1, "{command:?}: {}", run.stderr);
        assert_eq!(run.writes(), [], "{command:?}");
        assert!(run.stdout.contains("`jitsi in eu-central-1"), "{command:?}: {}", run.stdout);
        assert_eq!(files(&jitsi), before, "{command:?}");
    }
    assert_eq!(jitsi.succeed(&["setup", "iam"]).writes(), [], "the deployment has all it needs");
    jitsi.succeed(&["setup", "delete"]);
}

#[tokio::test]
async fn another_account_has_nothing_of_ours() {
    let jitsi = Deployment::new(account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let before = files(&jitsi);
    let other = account().await;
    for command in ["delete", "all"] {
        let mut command = jitsi.command(&["setup", command, "--yes", "--json", "--verbose"]);
        command
            .env("AWS_ACCESS_KEY_ID", &other.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &other.secret_key)
            .env("AWS_SESSION_TOKEN", other.token.as_deref().unwrap());
        let run = Run::of(&mut command);
        assert_eq!(run.code, 1, "{command:?}: {}", run.stderr);
        assert_eq!(run.writes(), [], "{command:?}");
        let owner = format!("of account {}", jitsi.account.id);
        assert!(run.stdout.contains(&owner), "{command:?}: {}", run.stdout);
        assert_eq!(files(&jitsi), before, "{command:?}");
    }
}
