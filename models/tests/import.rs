//! What `model import` refuses of graphs that other people's tools made, and what it takes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dnsvet_core::model::tokenizer::{self, ALPHABET, TEXT_TOKENS};
use dnsvet_models::infer::Backend;
use dnsvet_models::manifest::{GOLDEN_NAMES, Golden, Limits, Manifest, Output, Scale};
use dnsvet_models::onnx::{self, LatencyError};
use dnsvet_models::publish;
use dnsvet_models::registry::{Registry, hex};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{self, attribute_proto::AttributeType};

/// An axis: open, or so long.
const OPEN: i64 = -1;

/// A graph that adds up one weight for each token of a name, and the manifest that it has.
struct Case {
    graph: pb::GraphProto,
    manifest: Manifest,
}

/// What makes a good case a bad one.
type Change = fn(&mut Case);

fn weight(token: u8) -> f32 {
    f32::from(token) / 64.0
}

fn sum_of_weights() -> Case {
    let weights: Vec<f32> = (0..ALPHABET as u8).map(weight).collect();
    let graph = pb::GraphProto {
        node: vec![node("Gather", &["weights", "tokens"], "looked_up"), sum("looked_up", "logit", false)],
        initializer: vec![floats("weights", &weights), integers("axis", &[1])],
        input: vec![value("tokens", DataType::Int64, &[OPEN, TEXT_TOKENS as i64])],
        output: vec![value("logit", DataType::Float, &[OPEN])],
        ..Default::default()
    };
    let logit = |name| tokenizer::tokens(name).0.into_iter().map(weight).sum();
    let golden = GOLDEN_NAMES.map(|name: &str| Golden { name: name.to_owned(), logit: logit(name) });
    let manifest = Manifest {
        format: 1,
        name: "own".into(),
        id: "own@".into(),
        tokenizer: tokenizer::TEXT,
        length: TEXT_TOKENS,
        output: Output::Logit,
        parameters: ALPHABET,
        onnx_blake3: String::new(),
        dvm_blake3: None,
        calibration: Scale { slope: 1.0, intercept: 0.0, balance: 0.5 },
        prior: 0.01,
        thresholds: Limits { allow_below: 0.1, block_above: 0.9, false_block_budget: 0.01 },
        golden: golden.to_vec(),
        sources: vec![],
        made_by: "this test".into(),
        training: None,
        metrics: None,
    };
    Case { graph, manifest }
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let opset_import = vec![pb::OperatorSetIdProto { version: 13, ..Default::default() }];
        let graph = Some(self.graph.clone());
        pb::ModelProto { ir_version: 7, opset_import, graph, ..Default::default() }.encode_to_vec()
    }

    /// Imports it; what was said if it was refused.
    fn import(&self, registry: &Path) -> Result<(), String> {
        let onnx = self.bytes();
        let manifest = Manifest { onnx_blake3: hex(&onnx), ..self.manifest.clone() };
        publish::import(onnx, manifest, registry).map(drop).map_err(|error| error.to_string())
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        op_type: operator.to_owned(),
        name: format!("{operator} to {output}"),
        input: inputs.iter().map(|input| (*input).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

fn sum(input: &str, output: &str, keep: bool) -> pb::NodeProto {
    let kept = pb::AttributeProto {
        name: "keepdims".into(),
        r#type: AttributeType::Int as i32,
        i: keep.into(),
        ..Default::default()
    };
    pb::NodeProto { attribute: vec![kept], ..node("ReduceSum", &[input, "axis"], output) }
}

fn floats(name: &str, values: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        data_type: DataType::Float as i32,
        dims: vec![values.len() as i64],
        float_data: values.to_vec(),
        ..Default::default()
    }
}

fn integers(name: &str, values: &[i64]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        data_type: DataType::Int64 as i32,
        dims: vec![values.len() as i64],
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

fn value(name: &str, kind: DataType, axes: &[i64]) -> pb::ValueInfoProto {
    let axis = |&length: &i64| Dimension {
        value: Some(if length == OPEN { Value::DimParam("n".into()) } else { Value::DimValue(length) }),
        ..Default::default()
    };
    let tensor = pb::type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(pb::TensorShapeProto { dim: axes.iter().map(axis).collect() }),
    };
    pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_graph_that_is_refused_says_why_and_leaves_the_registry_as_it_was() {
    let registry = tempfile::tempdir().unwrap();
    sum_of_weights().import(registry.path()).unwrap();
    let before = files(registry.path());
    let refusals: [(&str, Change); 20] = [
        ("operator LpNormalization (node \"LpNormalization to logit\") is not run here; export", |case| {
            case.graph.node[1] = node("LpNormalization", &["looked_up"], "logit");
        }),
        ("operator com.example.Relu", |case| {
            case.graph.node[1] = sum("looked_up", "summed", false);
            let foreign = node("Relu", &["summed"], "logit");
            case.graph.node.push(pb::NodeProto { domain: "com.example".into(), ..foreign });
        }),
        ("it has `tokens`, float [n, 66]", |case| {
            case.graph.input[0] = value("tokens", DataType::Float, &[OPEN, 66])
        }),
        ("it has `tokens`, int64 [1, 66]", |case| {
            case.graph.input[0] = value("tokens", DataType::Int64, &[1, 66])
        }),
        ("it has `tokens`, int64 [n, n]", |case| {
            case.graph.input[0] = value("tokens", DataType::Int64, &[OPEN, OPEN])
        }),
        ("it has `ids`, int64 [n, 66]", |case| {
            case.graph.input[0] = value("ids", DataType::Int64, &[OPEN, 66])
        }),
        ("it has 2 inputs", |case| case.graph.input.push(value("mask", DataType::Int64, &[OPEN, 66]))),
        ("it has `logit`, double [n]", |case| {
            case.graph.output[0] = value("logit", DataType::Double, &[OPEN])
        }),
        ("it has \"score\", which no node gives", |case| {
            case.graph.output[0] = value("score", DataType::Float, &[OPEN])
        }),
        ("tensor \"weights\" lies in another file; save the model with its weights inside", |case| {
            let place =
                pb::StringStringEntryProto { key: "location".into(), value: "model.onnx.data".into() };
            case.graph.initializer[0].external_data.push(place);
        }),
        ("graph has 64 tokens a name, its manifest says 66", |case| {
            case.graph.input[0] = value("tokens", DataType::Int64, &[OPEN, 64])
        }),
        ("graph has 3 outputs a name, its manifest says 1", |case| {
            case.graph.output[0] = value("logit", DataType::Float, &[OPEN, 3])
        }),
        ("for 64 names it gives F32 [1], not F32 [64]", |case| {
            case.graph.node[1].input.pop();
            case.graph.node[1].attribute[0].i = 0;
            case.graph.node[1].output[0] = "one".into();
            case.graph.initializer.push(integers("shape", &[1]));
            case.graph.node.push(node("Reshape", &["one", "shape"], "logit"));
        }),
        ("for 64 names it gives F32 [1,2], not F32 [64, 2]", |case| {
            case.manifest.output = Output::TwoLogits;
            case.graph.output[0] = value("logit", DataType::Float, &[OPEN, 2]);
            case.graph.initializer.push(integers("shape", &[1, 2]));
            case.graph.initializer.push(floats("two", &[0.0, 1.0]));
            case.graph.node[1] = node("Reshape", &["two", "shape"], "logit");
        }),
        ("index out of bounds: the len is 20", |case| {
            case.graph.initializer[0] = floats("weights", &[0.5; 20])
        }),
        ("it panicked: called `Result::unwrap()` on an `Err` value: Illegal combination", |case| {
            case.graph.initializer[1] = integers("axis", &[9]);
        }),
        ("its manifest says 0.5: not the model it claims to be, or not its tokenizer", |case| {
            case.manifest.golden[3].logit = 0.5
        }),
        ("manifest of own has tokenizer 9; 1 (code points), 2 (text)", |case| case.manifest.tokenizer = 9),
        ("unusable calibration: slope in (0, 1e6)", |case| case.manifest.calibration.slope = -1.0),
        ("unusable thresholds: 0 <= allow_below <= block_above", |case| {
            case.manifest.thresholds.allow_below = 0.95;
        }),
    ];
    for (says, change) in refusals {
        let mut case = sum_of_weights();
        change(&mut case);
        let said = case.import(registry.path()).unwrap_err();
        assert!(said.contains(says), "expected {says:?} in {said:?}");
        assert_eq!(files(registry.path()), before, "{says}");
    }
}

#[test]
fn bytes_that_are_no_onnx_file_are_told_as_such() {
    let Case { manifest, .. } = sum_of_weights();
    let registry = tempfile::tempdir().unwrap();
    let whole = sum_of_weights().bytes();
    let too_large = vec![0; onnx::MAX_BYTES + 1];
    for (bytes, says) in [
        (&b"this is no model at all"[..], "not an ONNX file"),
        (&whole[..whole.len() / 2], "not an ONNX file, or only a part of one"),
        (b"", "not an ONNX file: there is no graph in it"),
        (&too_large, "more than 67108864 bytes (64 MiB); export a smaller model"),
    ] {
        let refused = publish::import(bytes.to_vec(), manifest.clone(), registry.path()).unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
        assert_eq!(files(registry.path()), []);
    }
    let stale = Manifest { onnx_blake3: hex(b"another file"), ..manifest };
    let refused = publish::import(whole.clone(), stale, registry.path()).unwrap_err().to_string();
    assert!(refused.contains(&hex(&whole)) && refused.contains("write the manifest anew"), "{refused}");
}

#[test]
fn what_an_exporter_notes_of_the_open_axis_between_two_nodes_does_not_matter() {
    let registry = tempfile::tempdir().unwrap();
    let mut case = sum_of_weights();
    case.graph.value_info.push(value("looked_up", DataType::Float, &[OPEN, TEXT_TOKENS as i64]));
    case.import(registry.path()).unwrap();
}

#[test]
fn a_column_of_logits_and_probabilities_are_taken_as_what_they_are() {
    let registry = tempfile::tempdir().unwrap();
    let mut case = sum_of_weights();
    case.graph.node[1] = sum("looked_up", "logit", true);
    case.graph.output[0] = value("logit", DataType::Float, &[OPEN, 1]);
    case.import(registry.path()).unwrap();
    case.graph.node[1].output[0] = "raw".into();
    case.graph.node.push(node("Sigmoid", &["raw"], "logit"));
    case.manifest.output = Output::Probability;
    // Farther out a float has no more digits for so high a probability.
    case.manifest.golden.retain(|golden| golden.logit < 6.0);
    case.import(registry.path()).unwrap();
}

#[test]
fn the_time_for_a_name_is_measured_and_one_that_takes_too_long_is_refused() {
    let registry = tempfile::tempdir().unwrap();
    let case = sum_of_weights();
    let onnx = case.bytes();
    let manifest = Manifest { onnx_blake3: hex(&onnx), ..case.manifest };
    let (_, latency) = publish::import(onnx, manifest, registry.path()).unwrap();
    assert_eq!(latency.names, 1_000);
    assert!(latency.a_name > Duration::ZERO && latency.a_name < onnx::PATIENCE, "{latency}");
    assert!(!latency.to_string().contains("waits"), "{latency}");

    let own = Registry::open(registry.path()).unwrap().get("own").unwrap();
    let mut scorer = own.scorer(Backend::Tract).unwrap();
    let refused = onnx::latency(&mut *scorer, Duration::ZERO).unwrap_err();
    let LatencyError::Slow(partly) = refused else { panic!("{refused}") };
    assert_eq!(partly.names, 64, "it stops as soon as it is certain");
    let slow = onnx::Latency { names: 64, a_name: Duration::from_millis(3) };
    assert!(slow.to_string().contains("waits as long as 64, 192 ms, and the filter only 50ms"), "{slow}");
}
