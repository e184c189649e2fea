//! The documents say what the program does.

use jitsi_aws::{
    catalog::catalog,
    config::{Files, Overrides, load},
    engine::{Entry, Key, Stage},
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md");
const CONFIG: &str = "[deployment]\nname = \"jitsi\"\nregion = \"eu-central-1\"\n[site]\ndomain = \"meet.example.org\"\n\
    [certificate]\nmode = \"request\"\n[monitoring]\nemails = [\"ops@example.org\"]\n";

#[test]
fn the_graph_in_the_docs_is_the_catalogs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CONFIG).unwrap();
    let config = load(file.path(), &Overrides::default(), Files::default()).unwrap().config;
    let graph = mermaid(&catalog(&config));
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let start = document.find("<!-- graph").expect("the mark");
    let start = start + document[start..].find('\n').unwrap() + 1;
    let end = document.find("<!-- /graph -->").expect("the other mark");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{}{graph}{}", &document[..start], &document[end..]);
        std::fs::write(DOCUMENT, text).unwrap();
        return;
    }
    assert_eq!(&document[start..end], graph, "run: UPDATE_DOCS=1 cargo test --test docs");
}

/// The catalog as a Mermaid flowchart, one box per stage.
fn mermaid(catalog: &[Entry]) -> String {
    let id = |key: &Key| key.to_string().replace(['(', ')', '@', '.'], "_");
    let mut lines = vec!["```mermaid".to_owned(), "flowchart LR".to_owned()];
    for stage in Stage::ALL {
        let (word, number) = (stage.word(), stage.number());
        lines.push(format!("  subgraph {word} [\"{number} {word}\"]"));
        let entries = catalog.iter().filter(|entry| entry.key.stage() == stage);
        lines.extend(entries.map(|entry| format!("    {}", id(&entry.key))));
        lines.push("  end".to_owned());
    }
    for entry in catalog {
        let needs = entry.needs.iter();
        lines.extend(needs.map(|need| format!("  {} --> {}", id(&entry.key), id(need))));
    }
    lines.push("```\n".to_owned());
    lines.join("\n")
}
