//! Holds a meeting and prints each step: `probe DOMAIN [HOST:PORT]`. With `HOST:PORT` any
//! certificate is accepted.
#![expect(clippy::print_stdout, reason = "printing is its purpose")]

use std::process::ExitCode;

use meeting_probe::{Depth, Failure, Observer, Prober, Step, Target, Tls};

struct Printer;

impl Observer for Printer {
    fn finished(&mut self, step: &Step, _failure: Option<&Failure>) {
        println!("{:>18} {:8.1} ms  {}", step.name.to_string(), step.took_ms, step.detail);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let mut args = std::env::args().skip(1);
    let mut target = Target::new(args.next().unwrap_or_else(|| "localhost".into()));
    target.depth = Depth::Heard;
    if let Some(connect) = args.next() {
        target.connect = Some(connect);
        target.tls = Tls::AcceptAny;
    }
    let report = Prober::new(target)?.hold_meeting(&mut Printer).await;
    println!("{:>18} {:8.1} ms  {:?}", "all", report.took_ms, report.outcome);
    Ok(if report.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
