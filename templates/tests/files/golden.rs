//! Every file in every mode, as it was reviewed. Files that are the same as in open mode are kept
//! once; `cargo insta review` shows what a change does to them.

use std::collections::BTreeMap;

use crate::fixture::Fixture;
use jitsi_templates::OwnedFile;

fn rendered(fixture: &Fixture) -> BTreeMap<String, String> {
    let show = |file: OwnedFile| {
        let OwnedFile { owner, group, mode, consumer, link, secret, .. } = &file;
        let path = file.path.display();
        let link = link.as_ref().map(|link| format!(" <- {}", link.display())).unwrap_or_default();
        let secret = if *secret { " secret" } else { "" };
        let head = format!("{path} {owner}:{group} {mode:04o} {consumer:?}{link}{secret}");
        (path.to_string(), format!("{head}\n\n{}", file.contents))
    };
    let mut files: BTreeMap<_, _> =
        fixture.install().unwrap().into_iter().chain(fixture.site().unwrap()).map(show).collect();
    files.insert("/user-data".into(), fixture.user_data().unwrap());
    files
}

#[test]
fn files_are_as_reviewed() {
    let open = rendered(&Fixture::open());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("rendered");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (path, text) in &open {
            insta::assert_snapshot!(format!("open{}", path.replace('/', "-")), text);
        }
        for (mode, fixture) in [
            ("jwt", Fixture::jwt()),
            ("secure-domain", Fixture::secure_domain()),
            ("lobby", Fixture::lobby()),
            ("least", Fixture::least()),
        ] {
            let files = rendered(&fixture);
            for (path, text) in &files {
                if open.get(path) != Some(text) {
                    insta::assert_snapshot!(format!("{mode}{}", path.replace('/', "-")), text);
                }
            }
            let gone: Vec<_> = open.keys().filter(|path| !files.contains_key(*path)).collect();
            insta::assert_debug_snapshot!(format!("{mode}-without"), gone);
        }
    });
}
