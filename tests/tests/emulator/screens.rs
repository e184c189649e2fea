//! Whole screens of a deployment's life, as a person sees them: what there is, what would be done, what was.
//! `docs/messages.md` is made of these and of what `inputs` and `tests/config` have.

use std::io::{Read as _, pipe};

use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator};

/// What differs from run to run, and what stands in its place.
const FILTERS: [(&str, &str); 7] = [
    (r"\b(vpc|subnet|sg|igw|rtb|lt|i|eni|vol)-[0-9a-f]{8,17}\b", "$1-ID"),
    (r"\b[0-9]{12}\b", "123456789012"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"(/|-)[0-9a-f]{16}\b", "${1}ID"),
    (r"\b(AKIA|ASIA|ABIA)[0-9A-Z]+", "${1}KEY"),
    (r"-[0-9]{9,10}\.eu-central-1\.elb\b", "-NUMBER.eu-central-1.elb"),
    (r" in ([0-9]+ min )?[0-9.]+ s\b", " in TIME"),
];

macro_rules! screen {
    ($name:literal, $code:literal, $run:expr) => {{
        let (code, printed) = $run;
        assert_eq!(code, $code, "{printed}");
        // A busy machine is waited for now and then.
        let lines = printed.lines().filter(|line| !line.starts_with(" … "));
        let lines = lines.collect::<Vec<_>>().join("\n");
        insta::with_settings!({ filters => FILTERS.to_vec(), omit_expression => true }, {
            insta::assert_snapshot!($name, lines);
        });
    }};
}

/// Exit code, and all that is printed, in the order in which a terminal shows it.
fn shown(jitsi: &Deployment, arguments: &[&str]) -> (i32, String) {
    let (mut screen, terminal) = pipe().unwrap();
    let mut command = jitsi.command(arguments);
    command.stdout(terminal.try_clone().unwrap()).stderr(terminal);
    let mut child = command.spawn().unwrap();
    drop(command); // its ends of the pipe
    let mut printed = String::new();
    screen.read_to_string(&mut printed).unwrap();
    (child.wait().unwrap().code().unwrap(), printed)
}

#[tokio::test]
async fn a_deployments_life_on_the_screen() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    screen!("nothing-is-there", 0, shown(&jitsi, &["setup"]));
    screen!("plan-of-all", 3, shown(&jitsi, &["plan"]));
    // What is made first is told in any order.
    jitsi.succeed(&["setup", "all"]);
    screen!("all-is-there", 0, shown(&jitsi, &["setup"]));
    screen!("nothing-to-do", 0, shown(&jitsi, &["plan"]));
    screen!("a-rerun", 0, shown(&jitsi, &["setup", "all"]));
    jitsi.configure(|text| {
        text.replace("boss@", "chief@")
            + "[instance]\ntype = \"c7i.xlarge\"\n[meetings]\ndrain = \"20m\"\n"
    });
    screen!("changes-to-make", 3, shown(&jitsi, &["plan"]));
    screen!("stages-that-differ", 0, shown(&jitsi, &["setup"]));
}
