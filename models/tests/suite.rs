//! The false-positive suite against the models that come with dnsvet.

use dnsvet_models::data::suite;
use dnsvet_models::registry::Registry;

#[test]
fn no_bundled_model_blocks_a_name_of_the_false_positive_suite() {
    for name in ["small", "large"] {
        let artifact = Registry::bundled().get(name).unwrap();
        let model = artifact.model().unwrap();
        let above = model.thresholds().block_above;
        let mut blocked = Vec::new();
        for suite in suite::suites() {
            for name in suite.names {
                let p = model.probability(model.logit(name), model.prior());
                if p >= above {
                    blocked.push(format!("{} ({}, {p:.3})", name, suite.category));
                }
            }
        }
        assert!(blocked.is_empty(), "{name} blocks {}: {}", blocked.len(), blocked.join(", "));
    }
}
