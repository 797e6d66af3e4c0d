//! Models and brands, as artifacts and snapshots hold them.

use dnsvet_core::model::{Brands, Model, Scratch, look_alike};
use dnsvet_core::name::Name;

/// Names that models are asked about.
const NAMES: [&str; 6] = [
    "",
    "example",
    "www.example.com",
    "xn--bcher-kva.example",
    "a1b2c3d4e5f6.example.org",
    "\\000\\255.example",
];

/// An artifact without its checksum.
pub(crate) fn model(data: &[u8]) {
    let _ = Model::decode(data);
    let mut artifact = data.to_vec();
    artifact.extend(blake3::hash(data).as_bytes());
    let Ok(model) = Model::decode(&artifact) else { return };
    assert_eq!(model.encode(), artifact);
    assert_eq!(model.spec().check(), Ok(()));
    let long = "a.".repeat(400);
    let names: Vec<&str> = NAMES.into_iter().chain([long.as_str()]).collect();
    let mut logits = vec![f32::NAN; names.len()];
    model.logits(&names, &mut Scratch::default(), &mut logits);
    for (name, logit) in names.iter().zip(logits) {
        assert_eq!(model.logit(name), logit, "{name}: one by one and together");
        let scores = [model.score(logit), model.probability(logit, model.prior())];
        assert!(
            logit.is_finite() && scores.iter().all(|score| (0.0..=1.0).contains(score)),
            "{name}: {logit}"
        );
    }
}

/// A section of brands; its last lines are compared with them.
pub(crate) fn brands(data: &[u8]) {
    let decoded = Brands::decode(data);
    if let Ok(brands) = &decoded {
        let again = Brands::decode(&brands.encode());
        assert_eq!(again.as_ref(), Ok(brands));
    }
    let text = String::from_utf8_lossy(data);
    let names: Vec<&str> = text.lines().collect();
    let made = Brands::from_popular(names.iter().copied());
    assert_eq!(Brands::decode(&made.encode()).map(|again| again.encode()), Ok(made.encode()));
    for name in names.iter().rev().take(16).chain(&["g00gle.com", "paypal-login.example"]) {
        let Ok(name) = Name::parse(name) else { continue };
        for brands in [&made].into_iter().chain(&decoded) {
            if let Some(found) = look_alike(&name, brands) {
                assert!(name.registrable_domain().is_some(), "{name}: {found:?}");
            }
        }
    }
}
