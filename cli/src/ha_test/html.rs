//! The report as one HTML page that needs nothing else: figures, the timeline drawn, every line.

use anyhow::Result;
use serde::Serialize;
use tera::{Context, Tera};

use super::{
    milestone::Tone,
    report::{Absence, Report},
};

// Tera escapes what is printed into a template of this ending.
const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("report.html.tera");

/// The page.
pub(super) fn page(report: &Report) -> Result<String> {
    let mut engine = Tera::new();
    engine.add_raw_template(NAME, TEMPLATE)?;
    Ok(engine.render(NAME, &Context::from_serialize(&Page::new(report))?)?)
}

/// What the template prints.
#[derive(Serialize)]
struct Page<'a> {
    report: &'a Report,
    moved: String,
    told: String,
    figures: Vec<Figure>,
    lanes: Vec<Lane>,
    marks: Vec<Mark>,
    ticks: Vec<Tick>,
    lines: Vec<Row<'a>>,
}

/// One large number.
#[derive(Serialize)]
struct Figure {
    what: &'static str,
    value: String,
    detail: String,
}

/// One row of the drawing.
#[derive(Serialize)]
struct Lane {
    name: String,
    detail: String,
    bars: Vec<Bar>,
}

/// A stretch of time in a lane; positions are percent of the drawing.
#[derive(Serialize)]
struct Bar {
    class: &'static str,
    left: String,
    width: String,
    title: String,
}

/// A moment.
#[derive(Serialize)]
struct Mark {
    tone: Tone,
    left: String,
    title: String,
}

/// A number on the axis.
#[derive(Serialize)]
struct Tick {
    left: String,
    label: String,
}

/// A line of the list.
#[derive(Serialize)]
struct Row<'a> {
    at: String,
    tone: Tone,
    text: &'a str,
}

/// Seconds to percent.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    fn of(report: &Report) -> Self {
        let absences = [&report.without_meetings, &report.without_http];
        let spans = absences.iter().flat_map(|absence| &absence.outages);
        let from = spans.map(|span| span.from).fold(0.0, f64::min);
        Self { from: from - 0.02 * report.lasted, to: report.lasted.max(1.0) }
    }

    fn percent(&self, at: f64) -> f64 {
        ((at - self.from) / (self.to - self.from) * 100.0).clamp(0.0, 100.0)
    }

    fn left(&self, at: f64) -> String {
        format!("{:.3}", self.percent(at))
    }

    fn bar(&self, class: &'static str, from: f64, to: Option<f64>, what: &str) -> Bar {
        let end = to.unwrap_or(self.to);
        Bar {
            class,
            left: self.left(from),
            width: format!("{:.3}", self.percent(end) - self.percent(from)),
            title: match to {
                Some(to) => format!("{what}: {from:.1} s to {to:.1} s, {:.1} s", to - from),
                None => format!("{what}: from {from:.1} s on"),
            },
        }
    }

    /// Every 1, 2 or 5 times a power of ten seconds, at most twelve of them.
    fn ticks(&self) -> Vec<Tick> {
        let mut step = 1.0;
        for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
            if self.to / step <= 12.0 {
                break;
            }
            step *= factor;
        }
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= self.to {
            ticks.push(Tick { left: self.left(at), label: format!("{at:.0}") });
            at += step;
        }
        ticks
    }
}

impl<'a> Page<'a> {
    fn new(report: &'a Report) -> Self {
        let scale = Scale::of(report);
        let mut lanes = vec![
            attempts("meetings", &report.without_meetings, &scale),
            attempts("requests", &report.without_http, &scale),
        ];
        lanes.extend(instances(report, &scale));
        Self {
            moved: report.moved("→"),
            told: report.told(),
            figures: vec![
                figure("without meetings", "meetings", &report.without_meetings),
                figure("without HTTP", "requests", &report.without_http),
            ],
            lanes,
            marks: report
                .timeline
                .iter()
                .map(|line| Mark {
                    tone: line.tone,
                    left: scale.left(line.at),
                    title: format!("{:.1} s  {}", line.at, line.text),
                })
                .collect(),
            ticks: scale.ticks(),
            lines: report
                .timeline
                .iter()
                .map(|line| Row {
                    at: format!("{:.1} s", line.at),
                    tone: line.tone,
                    text: &line.text,
                })
                .collect(),
            report,
        }
    }
}

fn figure(what: &'static str, attempts: &str, absence: &Absence) -> Figure {
    let least = format!("at least {:.1} s", absence.at_least);
    let counted = absence.counted(attempts);
    Figure {
        what,
        value: format!("{:.1} s", absence.seconds),
        detail: if absence.outages.is_empty() { counted } else { format!("{least}; {counted}") },
    }
}

fn attempts(name: &str, absence: &Absence, scale: &Scale) -> Lane {
    let mut bars = vec![scale.bar("good", scale.from, None, name)];
    bars.extend(
        absence.outages.iter().map(|span| {
            scale.bar("bad", span.from, span.to, &format!("no {name} ({})", span.reason))
        }),
    );
    Lane { name: name.to_owned(), detail: absence.counted(name), bars }
}

fn instances(report: &Report, scale: &Scale) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for stay in &report.instances {
        let class = if stay.serves {
            "good"
        } else if stay.state.starts_with("Pending") || stay.state.contains("initial") {
            "wait"
        } else if ["Terminating", "shutting-down", "terminated", "gone"]
            .iter()
            .any(|state| stay.state.contains(state))
        {
            "gone"
        } else {
            "bad"
        };
        // The first look was before the harm.
        let from = if stay.from <= 0.0 { scale.from } else { stay.from };
        let bar = scale.bar(class, from, stay.to, &stay.state);
        match lanes.iter_mut().find(|lane| lane.name == stay.instance) {
            Some(lane) => lane.bars.push(bar),
            None => lanes.push(Lane {
                name: stay.instance.clone(),
                detail: stay.zone.clone(),
                bars: vec![bar],
            }),
        }
    }
    lanes
}
