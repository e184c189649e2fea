//! Whole screens of a deployment's life, as a person sees them: what there is, what would be done, what was.
//! `docs/messages.md` is made of these and of what `inputs` and `tests/config` have.

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};

/// What differs from run to run, and what stands in its place.
const FILTERS: [(&str, &str); 6] = [
    (r"\b(vpc|subnet|sg|igw|rtb|lt|i|eni|vol)-[0-9a-f]{8,17}\b", "$1-ID"),
    (r"\b[0-9]{12}\b", "123456789012"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"(/|-)[0-9a-f]{16}\b", "${1}ID"),
    (r"\b(AKIA|ASIA|ABIA)[0-9A-Z]+", "${1}KEY"),
    (r" in ([0-9]+ min )?[0-9.]+ s\b", " in TIME"),
];

macro_rules! screen {
    ($name:literal, $code:literal, $run:expr) => {{
        let run: Run = $run;
        assert_eq!(run.code, $code, "{}", run.stderr);
        let printed = format!("{}{}", run.stdout, run.stderr);
        // A busy machine is waited for now and then.
        let lines = printed.lines().filter(|line| !line.starts_with(" … "));
        let lines = lines.collect::<Vec<_>>().join("\n");
        insta::with_settings!({ filters => FILTERS.to_vec(), omit_expression => true }, {
            insta::assert_snapshot!($name, lines);
        });
    }};
}

#[tokio::test]
async fn a_deployments_life_on_the_screen() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    screen!("nothing-is-there", 0, jitsi.run(&["setup"]));
    screen!("plan-of-all", 3, jitsi.run(&["plan"]));
    // What is made first is told in any order.
    jitsi.succeed(&["setup", "all"]);
    screen!("all-is-there", 0, jitsi.run(&["setup"]));
    screen!("nothing-to-do", 0, jitsi.run(&["plan"]));
    screen!("a-rerun", 0, jitsi.run(&["setup", "all"]));
    jitsi.configure(|text| {
        text.replace("boss@", "chief@")
            + "[instance]\ntype = \"c7i.xlarge\"\n[meetings]\ndrain = \"20m\"\n"
    });
    screen!("changes-to-make", 3, jitsi.run(&["plan"]));
    screen!("stages-that-differ", 0, jitsi.run(&["setup"]));
}
