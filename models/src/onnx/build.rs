//! Graphs of our networks, through tract's protobuf types.

use dnsvet_core::model::Seed;
use dnsvet_core::model::tokenizer::{ALPHABET, TEXT_TOKENS};
use prost::Message;
use tract_onnx::pb::{self, attribute_proto::AttributeType, tensor_proto::DataType};

use super::{INPUT, OPSET, OUTPUT};
use crate::train::Params;

/// The seed's CNN: code points to logit.
pub fn seed(seed: &Seed) -> Vec<u8> {
    let weights = seed.weights();
    let mut rest = weights.as_slice();
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at(count);
        rest = tail;
        head
    };
    let mut graph = Graph::default();
    graph.node("Cast", &[INPUT], "code_points", vec![integer("to", DataType::Float as i64)]);
    graph.integers("image_shape", &[-1, 1, 16, 16]);
    graph.node("Reshape", &["code_points", "image_shape"], "image", vec![]);
    let mut last = "image".to_owned();
    for (index, [inputs, outputs]) in [[1, 16], [16, 16], [16, 8]].into_iter().enumerate() {
        let layer = index + 1;
        // Keras keeps [row, column, input, output], ONNX [output, input, row, column].
        let kernel = take(4 * inputs * outputs);
        let turned: Vec<f32> = (0..outputs)
            .flat_map(|o| (0..inputs).flat_map(move |i| (0..4).map(move |p| (p * inputs + i) * outputs + o)))
            .map(|at| kernel[at])
            .collect();
        graph.floats(&format!("kernel{layer}"), &[outputs, inputs, 2, 2], &turned);
        graph.floats(&format!("bias{layer}"), &[outputs], take(outputs));
        let [conv, relu, pool] = ["conv", "relu", "pool"].map(|kind| format!("{kind}{layer}"));
        let inputs = [last.as_str(), &format!("kernel{layer}"), &format!("bias{layer}")];
        graph.node("Conv", &inputs, &conv, vec![integers("kernel_shape", &[2, 2])]);
        graph.node("Relu", &[&conv], &relu, vec![]);
        last = relu;
        if layer < 3 {
            let attributes = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
            graph.node("MaxPool", &[&last], &pool, attributes);
            last = pool;
        }
    }
    graph.node("Transpose", &[&last], "channels_last", vec![integers("perm", &[0, 2, 3, 1])]);
    graph.integers("flat_shape", &[-1, 32]);
    graph.node("Reshape", &["channels_last", "flat_shape"], "flat", vec![]);
    graph.dense("flat", [32, 8], [take(32 * 8), take(8)], [take(8), take(1)]);
    graph.finish("seed", 256)
}

/// A table CNN as it was trained: embedding, convolutions, maximum and mean, dense layers.
pub fn table(name: &str, params: &Params<f32>) -> Vec<u8> {
    let size = params.embedding_size();
    let mut graph = Graph::default();
    graph.floats("embedding", &[ALPHABET, size], &params.embedding);
    graph.node("Gather", &["embedding", INPUT], "embedded", vec![integer("axis", 0)]);
    graph.node("Transpose", &["embedded"], "sequence", vec![integers("perm", &[0, 2, 1])]);
    let mut pooled = Vec::new();
    for bank in &params.banks {
        let (width, filters) = (bank.width, bank.bias.len());
        // Ours is [tap][embedding][filter], ONNX' is [filter][embedding][tap].
        let turned: Vec<f32> = (0..filters)
            .flat_map(|f| (0..size).flat_map(move |e| (0..width).map(move |t| (t * size + e) * filters + f)))
            .map(|at| bank.kernel[at])
            .collect();
        let [kernel, bias, conv, relu, max, mean] =
            ["kernel", "bias", "conv", "relu", "max", "mean"].map(|part| format!("{part}{width}"));
        graph.floats(&kernel, &[filters, size, width], &turned);
        graph.floats(&bias, &[filters], &bank.bias);
        let shape = vec![integers("kernel_shape", &[width as i64])];
        graph.node("Conv", &["sequence", &kernel, &bias], &conv, shape);
        graph.node("Relu", &[&conv], &relu, vec![]);
        let over_windows = || vec![integers("axes", &[2]), integer("keepdims", 0)];
        graph.node("ReduceMax", &[&relu], &max, over_windows());
        graph.node("ReduceMean", &[&relu], &mean, over_windows());
        pooled.extend([max, mean]);
    }
    let pooled: Vec<&str> = pooled.iter().map(String::as_str).collect();
    graph.node("Concat", &pooled, "pooled", vec![integer("axis", 1)]);
    let units = params.hidden_bias.len();
    let hidden = [params.hidden.as_slice(), &params.hidden_bias];
    let output = [params.output.as_slice(), &params.output_bias];
    graph.dense("pooled", [params.hidden.len() / units, units], hidden, output);
    graph.finish(name, TEXT_TOKENS)
}

#[derive(Default)]
struct Graph {
    nodes: Vec<pb::NodeProto>,
    initializers: Vec<pb::TensorProto>,
}

impl Graph {
    fn node(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<pb::AttributeProto>) {
        self.nodes.push(pb::NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op.to_owned(),
            attribute,
            ..Default::default()
        });
    }

    fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.initializers.push(pb::TensorProto {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: DataType::Float as i32,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Default::default()
        });
    }

    fn integers(&mut self, name: &str, values: &[i64]) {
        self.initializers.push(pb::TensorProto {
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Default::default()
        });
    }

    /// Hidden layer, relu, one output, squeezed to `[n]`. Weights are `[input][output]`.
    fn dense(&mut self, input: &str, [inputs, units]: [usize; 2], hidden: [&[f32]; 2], output: [&[f32]; 2]) {
        self.floats("hidden_weights", &[inputs, units], hidden[0]);
        self.floats("hidden_bias", &[units], hidden[1]);
        self.node("Gemm", &[input, "hidden_weights", "hidden_bias"], "hidden", vec![]);
        self.node("Relu", &["hidden"], "hidden_relu", vec![]);
        self.floats("output_weights", &[units, 1], output[0]);
        self.floats("output_bias", &[1], output[1]);
        self.node("Gemm", &["hidden_relu", "output_weights", "output_bias"], "column", vec![]);
        self.integers("last_axis", &[1]);
        self.node("Squeeze", &["column", "last_axis"], OUTPUT, vec![]);
    }

    fn finish(self, name: &str, length: usize) -> Vec<u8> {
        use pb::tensor_shape_proto::{Dimension, dimension::Value};
        let dimension = |value| Dimension { value: Some(value), ..Default::default() };
        let names = || dimension(Value::DimParam("n".into()));
        let value = |name: &str, kind: DataType, dim: Vec<Dimension>| pb::ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(pb::TypeProto {
                value: Some(pb::type_proto::Value::TensorType(pb::type_proto::Tensor {
                    elem_type: kind as i32,
                    shape: Some(pb::TensorShapeProto { dim }),
                })),
                ..Default::default()
            }),
            ..Default::default()
        };
        let tokens = vec![names(), dimension(Value::DimValue(length as i64))];
        let graph = pb::GraphProto {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.initializers,
            input: vec![value(INPUT, DataType::Int64, tokens)],
            output: vec![value(OUTPUT, DataType::Float, vec![names()])],
            ..Default::default()
        };
        let model = pb::ModelProto {
            ir_version: 7,
            opset_import: vec![pb::OperatorSetIdProto { version: OPSET, ..Default::default() }],
            producer_name: "dnsvet".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            ..Default::default()
        };
        model.encode_to_vec()
    }
}

fn integer(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..Default::default()
    }
}

fn integers(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..Default::default()
    }
}
