//! Graphs of our networks, through tract's protobuf types.

use dnsvet_core::model::bag::DIMENSIONS;
use dnsvet_core::model::features::{FEATURE_BITS, MAX_FEATURES};
use dnsvet_core::model::tokenizer::{ALPHABET, TEXT_TOKENS};
use dnsvet_core::model::{Bag, Member, Model, Network, Reading, Seed, Stack, SuffixWeights, TableWeights};
use prost::Message;
use tract_onnx::pb::{self, attribute_proto::AttributeType, tensor_proto::DataType};

use super::{INPUT, OPSET, OUTPUT};
use crate::manifest::{PARTS_LENGTH, READINGS_LENGTH};

/// The graph of a model, or none where there is no export of its kind.
pub fn export(model: &Model) -> Option<Vec<u8>> {
    match model.network() {
        Network::Seed(network) => Some(seed(network)),
        Network::Stack(network) => Some(stack(&model.spec().name, network)),
        Network::Table(_) => None,
    }
}

/// The seed's CNN: code points to logit.
fn seed(seed: &Seed) -> Vec<u8> {
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
    graph.dense("", "flat", [32, 8], [take(32 * 8), take(8)], [take(8), take(1)], OUTPUT);
    graph.finish("seed", 256)
}

/// Content and suffix to logit.
fn stack(name: &str, stack: &Stack) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.integers("columns", &[1]);
    let mut from = 0;
    let mut slice = |graph: &mut Graph, part: &str, length: usize| {
        let to = from + length as i64;
        graph.integers(&format!("{part}_from"), &[from]);
        graph.integers(&format!("{part}_to"), &[to]);
        let bounds = ["from", "to"].map(|end| format!("{part}_{end}"));
        graph.node("Slice", &[INPUT, &bounds[0], &bounds[1], "columns"], part, vec![]);
        from = to;
    };
    slice(&mut graph, "text", TEXT_TOKENS);
    slice(&mut graph, found(Reading::Labels), MAX_FEATURES);
    slice(&mut graph, "crossed", MAX_FEATURES);
    slice(&mut graph, "slot", 1);
    graph.floats("one", &[1], &[1.0]);
    graph.integers("nothing", &[1 << FEATURE_BITS]);
    graph.count(Reading::Labels);
    let length = if stack.reads_labels_only() {
        PARTS_LENGTH
    } else {
        for reading in Reading::ALL.into_iter().filter(|reading| *reading != Reading::Labels) {
            slice(&mut graph, found(reading), MAX_FEATURES);
            graph.count(reading);
        }
        READINGS_LENGTH
    };
    let weights = stack.weights();
    graph.suffix(&weights.suffix);
    graph.floats("bias", &[1], &[weights.bias]);
    let mut sum = "sum0".to_owned();
    graph.node("Add", &["suffix", "bias"], &sum, vec![]);
    for (index, (weight, member)) in weights.members.iter().enumerate() {
        let prefix = format!("member{index}_");
        match member {
            Member::Table(table) => graph.table(&prefix, table.weights()),
            Member::Bag(bag) => graph.bag(&prefix, bag),
        }
        let [own, factor, product] = ["logit", "factor", "product"].map(|part| format!("{prefix}{part}"));
        graph.floats(&factor, &[1], &[*weight]);
        graph.node("Mul", &[&own, &factor], &product, vec![]);
        let last = index + 1 == weights.members.len();
        let next = if last { OUTPUT.to_owned() } else { format!("sum{}", index + 1) };
        graph.node("Add", &[&sum, &product], &next, vec![]);
        sum = next;
    }
    graph.finish(name, length)
}

/// The part of the input that holds the features of a reading.
fn found(reading: Reading) -> &'static str {
    match reading {
        Reading::Labels => "found",
        Reading::Content => "found_content",
        Reading::Skips => "found_skips",
    }
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

    /// `text` to `{prefix}logit`: embedding, convolutions, maximum and mean, dense layers.
    fn table(&mut self, prefix: &str, weights: &TableWeights) {
        let of = |part: &str| format!("{prefix}{part}");
        let one_hot: Vec<f32> =
            (0..ALPHABET * ALPHABET).map(|at| f32::from(u8::from(at / ALPHABET == at % ALPHABET))).collect();
        self.floats(&of("one_hot"), &[ALPHABET, ALPHABET], &one_hot);
        self.node("Gather", &[&of("one_hot"), "text"], &of("embedded"), vec![integer("axis", 0)]);
        let sequence = of("sequence");
        self.node("Transpose", &[&of("embedded")], &sequence, vec![integers("perm", &[0, 2, 1])]);
        let mut pooled = Vec::new();
        for bank in &weights.banks {
            let (width, filters) = (bank.width, bank.bias.len());
            // Ours is [tap][token][filter], ONNX' is [filter][token][tap].
            let turned: Vec<f32> = (0..filters)
                .flat_map(|f| {
                    (0..ALPHABET).flat_map(move |token| {
                        (0..width).map(move |tap| (tap * ALPHABET + token) * filters + f)
                    })
                })
                .map(|at| bank.table[at])
                .collect();
            let [kernel, bias, conv, relu, max, mean] = ["kernel", "bias", "conv", "relu", "max", "mean"]
                .map(|part| format!("{prefix}{part}{width}"));
            self.floats(&kernel, &[filters, ALPHABET, width], &turned);
            self.floats(&bias, &[filters], &bank.bias);
            let shape = vec![integers("kernel_shape", &[width as i64])];
            self.node("Conv", &[&sequence, &kernel, &bias], &conv, shape);
            self.node("Relu", &[&conv], &relu, vec![]);
            let over_windows = || vec![integers("axes", &[2]), integer("keepdims", 0)];
            self.node("ReduceMax", &[&relu], &max, over_windows());
            self.node("ReduceMean", &[&relu], &mean, over_windows());
            pooled.extend([max, mean]);
        }
        let names: Vec<&str> = pooled.iter().map(String::as_str).collect();
        let pooled = of("pooled");
        self.node("Concat", &names, &pooled, vec![integer("axis", 1)]);
        let units = weights.hidden_bias.len();
        let hidden = [weights.hidden.as_slice(), &weights.hidden_bias];
        let output = [weights.output.as_slice(), &[weights.output_bias]];
        self.dense(prefix, &pooled, [weights.inputs(), units], hidden, output, &of("logit"));
    }

    /// A reading's features to `{features}_root`, the root of their number, `[n, 1]`.
    fn count(&mut self, reading: Reading) {
        let features = found(reading);
        let of = |part: &str| format!("{features}_{part}");
        self.node("Less", &[features, "nothing"], &of("is"), vec![]);
        self.node("Cast", &[&of("is")], &of("each"), vec![integer("to", DataType::Float as i64)]);
        self.node("ReduceSum", &[&of("each"), "columns"], &of("sum"), vec![integer("keepdims", 1)]);
        self.node("Max", &[&of("sum"), "one"], &of("count"), vec![]);
        self.node("Sqrt", &[&of("count")], &of("root"), vec![]);
    }

    /// `slot` and `crossed` to `suffix`, what the suffix says, `[n]`.
    fn suffix(&mut self, suffix: &SuffixWeights) {
        self.floats("suffix_terms", &[suffix.terms.len()], &suffix.terms);
        self.node("Gather", &["suffix_terms", "slot"], "suffix_term", vec![integer("axis", 0)]);
        self.rows("under", "crossed", suffix.bits, &suffix.rows, 1);
        self.floats("under_scale", &[1], &[suffix.scale]);
        self.node("Mul", &["under_sum", "under_scale"], "under_scaled", vec![]);
        let root = format!("{}_root", found(Reading::Labels));
        self.node("Div", &["under_scaled", &root], "under", vec![]);
        self.node("Add", &["suffix_term", "under"], "suffix_unbound", vec![]);
        self.floats("suffix_bound", &[1], &[suffix.bound]);
        self.node("Div", &["suffix_unbound", "suffix_bound"], "suffix_share", vec![]);
        self.node("Tanh", &["suffix_share"], "suffix_bent", vec![]);
        self.node("Mul", &["suffix_bent", "suffix_bound"], "suffix_column", vec![]);
        self.node("Squeeze", &["suffix_column", "columns"], "suffix", vec![]);
    }

    /// Sums rows of a table of bytes by features of [`FEATURE_BITS`]: `{name}_sum`, `[n, width]`.
    fn rows(&mut self, name: &str, features: &str, bits: u8, rows: &[i8], width: usize) {
        let of = |part: &str| format!("{name}_{part}");
        self.integers(&of("step"), &[1 << (FEATURE_BITS - u32::from(bits))]);
        self.node("Div", &[features, &of("step")], &of("at"), vec![]);
        // Behind the last row one of nothing, for features that are not there.
        let bytes = rows.iter().map(|value| *value as u8).chain(std::iter::repeat_n(0, width));
        self.initializers.push(pb::TensorProto {
            dims: vec![(rows.len() / width) as i64 + 1, width as i64],
            data_type: DataType::Int8 as i32,
            name: of("table"),
            raw_data: bytes.collect(),
            ..Default::default()
        });
        self.node("Gather", &[&of("table"), &of("at")], &of("bytes"), vec![integer("axis", 0)]);
        self.node("Cast", &[&of("bytes")], &of("values"), vec![integer("to", DataType::Float as i64)]);
        self.node("ReduceSum", &[&of("values"), "columns"], &of("sum"), vec![integer("keepdims", 0)]);
    }

    /// A bag's features to `{prefix}logit`: rows, their sum over the root of their number, dense layers.
    fn bag(&mut self, prefix: &str, bag: &Bag) {
        let of = |part: &str| format!("{prefix}{part}");
        let weights = bag.weights();
        let features = found(bag.reading());
        self.rows(&of("row"), features, weights.bits, weights.rows.as_flattened(), DIMENSIONS);
        self.floats(&of("row_scale"), &[DIMENSIONS], &weights.scale);
        self.node("Mul", &[&of("row_sum"), &of("row_scale")], &of("row_scaled"), vec![]);
        self.node("Div", &[&of("row_scaled"), &format!("{features}_root")], &of("bag"), vec![]);
        let units = weights.hidden.len();
        let turned: Vec<f32> =
            (0..DIMENSIONS).flat_map(|d| weights.hidden.iter().map(move |unit| unit[d])).collect();
        let hidden = [turned.as_slice(), &weights.hidden_bias];
        let output = [weights.output.as_slice(), &[weights.output_bias]];
        self.dense(prefix, &of("bag"), [DIMENSIONS, units], hidden, output, &of("logit"));
    }

    /// Hidden layer, relu, one output, squeezed to `[n]`. Weights are `[input][output]`.
    fn dense(
        &mut self,
        prefix: &str,
        input: &str,
        [inputs, units]: [usize; 2],
        hidden: [&[f32]; 2],
        output: [&[f32]; 2],
        result: &str,
    ) {
        let of = |part: &str| format!("{prefix}{part}");
        self.floats(&of("hidden_weights"), &[inputs, units], hidden[0]);
        self.floats(&of("hidden_bias"), &[units], hidden[1]);
        self.node("Gemm", &[input, &of("hidden_weights"), &of("hidden_bias")], &of("hidden"), vec![]);
        self.node("Relu", &[&of("hidden")], &of("hidden_relu"), vec![]);
        self.floats(&of("output_weights"), &[units, 1], output[0]);
        self.floats(&of("output_bias"), &[1], output[1]);
        let inputs = [of("hidden_relu"), of("output_weights"), of("output_bias")];
        self.node("Gemm", &inputs.each_ref().map(String::as_str), &of("column"), vec![]);
        self.integers(&of("last_axis"), &[1]);
        self.node("Squeeze", &[&of("column"), &of("last_axis")], result, vec![]);
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
