//! An instance that the launch hook holds: its agent tries on, with a recipe that is no more.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::{Client, types::Tag};
use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator};
use jitsi_templates::layout::FAILED_LAUNCHES_TAG;

#[tokio::test]
async fn what_tries_on_with_a_recipe_that_was_mended_is_ended() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    let held = hold(&sdk).await;
    jitsi.configure(|text| format!("{text}[jitsi]\nlobby = true\n"));
    let run = jitsi.succeed(&["setup", "instances"]);
    let told =
        run.calls().iter().filter(|call| call.operation == "CompleteLifecycleAction").count();
    assert_eq!(told, 1, "{}", run.stderr);
    assert!(run.stderr.contains(&format!("{held} went on trying")), "{}", run.stderr);
    let groups = Client::new(&sdk).describe_auto_scaling_groups().send().await.unwrap();
    let successor = groups.auto_scaling_groups()[0].instances()[0].launch_template().unwrap();
    assert_eq!(successor.version(), Some("2"));
    assert_eq!(jitsi.succeed(&["setup", "instances"]).writes(), []);
}

/// As if the instance were the third launch that fails the same way; its id.
pub(crate) async fn hold(sdk: &SdkConfig) -> String {
    let scaling = Client::new(sdk);
    let groups = scaling.describe_auto_scaling_groups().send().await.unwrap();
    let [instance] = groups.auto_scaling_groups()[0].instances() else { panic!("{groups:?}") };
    let held = instance.instance_id().unwrap().to_owned();
    let tag = |key: &str, value: &str| {
        let tag = Tag::builder().resource_id("jitsi").resource_type("auto-scaling-group");
        tag.key(key).value(value).propagate_at_launch(false).build()
    };
    scaling
        .create_or_update_tags()
        .tags(tag(FAILED_LAUNCHES_TAG, "3 0123456789abcdef"))
        .tags(tag("emulator:held", &held))
        .send()
        .await
        .unwrap();
    held
}
