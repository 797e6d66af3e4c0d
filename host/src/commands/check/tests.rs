//! What a person reads of a score.

use dnsvet_core::model::Model;

use super::*;

#[tokio::test]
async fn the_characters_that_counted_most_are_told_with_their_signs() {
    let small = dnsvet_models::registry::Registry::bundled().get("small").unwrap().dvm.unwrap().into_owned();
    let model = Model::decode(&small).unwrap();
    let options = bundled::Options { small_model: Some(small), ..bundled::Options::default() };
    let snapshot = Snapshot::open(bundled::snapshot(&options).unwrap().into(), &[]).unwrap();
    let mut checker = Checker::new(snapshot, None, Some(Mode::Enforce)).unwrap();
    let client = IpAddr::from([127, 0, 0, 1]);
    let name = Name::parse("xkcjqwzvbnm-login.top").unwrap();
    let event = checker.check(&name, client).await.unwrap();
    let attribution = checker.attribution(name.as_str(), &event.verdict).await.unwrap();
    let strongest = &attribution.spans[0];
    let line = describe_attribution(&attribution);
    assert!(
        line.starts_with(&format!("    characters  {:?} {:+.2}", strongest.text, strongest.logit)),
        "{line}"
    );
    assert!(line.trim_end().ends_with(&format!("({})", model.id())), "{line}");
    let told = report(&event, &[], None, Some(&attribution));
    assert_eq!(told["attribution"]["bytes"].as_array().unwrap().len(), name.as_str().len());
    assert_eq!(told["trace"], json!(event.verdict.trace), "the trace is the same with it");

    let special = checker.check(&Name::parse("printer.local").unwrap(), client).await.unwrap();
    assert_eq!(checker.attribution("printer.local", &special.verdict).await, None, "no model was asked");
    let mut by_another = event.verdict.clone();
    by_another.model = Some("large@00000000".into());
    assert_eq!(checker.attribution(name.as_str(), &by_another).await, None, "and no scorer is there");
}
