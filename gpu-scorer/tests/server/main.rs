//! The scorer as its callers see it: a real process, real sockets.

#[path = "../common/mod.rs"]
mod common;
mod process;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{seed_model, stack_models, table_model, wide_stack_model};
use process::{Response, Server, put};
use serde_json::{Value, json};

#[test]
fn scores_are_the_models_own_and_bad_names_do_not_spoil_the_rest() {
    let server = Server::start(&[]);
    let names = ["www.example.com", "", "bad name", "x9f-login.example.top", &"l".repeat(64)];
    let reply = server.post("/v1/score", &json!({ "names": names }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    let model = table_model("large", 11);
    assert_eq!(reply["model"], model.id());
    assert_eq!(reply["device"], "cpu");
    for (name, result) in names.iter().zip(reply["results"].as_array().unwrap()) {
        assert_eq!(result["name"], *name);
        if name.contains('.') {
            let logit = model.logit(name);
            assert_same(&result["score"], model.score(logit));
            let p = model.probability(logit, 0.01);
            assert_same(&result["p"], p);
            let class = if p >= 0.5 {
                "malicious"
            } else if p < 0.005 {
                "benign"
            } else {
                "uncertain"
            };
            assert_eq!(result["class"], class);
            assert!(result.get("error").is_none());
        } else {
            assert!(result.get("score").is_none() && result["error"].is_string(), "{result}");
        }
    }
    assert_eq!(server.metric("dnsvet_scorer_bad_names_total"), 3.0);
    assert_eq!(server.metric("dnsvet_scorer_scored_names_total"), 2.0);
}

#[test]
fn a_score_says_which_characters_made_it_if_asked() {
    let server = Server::start(&[]);
    let names = ["WWW.Login-example.top.", "bad name", "x9f.example.co.uk"];
    let plain = server.post("/v1/score", &json!({ "names": names })).json();
    let reply = server.post("/v1/score", &json!({ "names": names, "attribution": true })).json();
    let model = table_model("large", 11);
    for (at, canonical) in [(0, "www.login-example.top"), (2, "x9f.example.co.uk")] {
        let result = &reply["results"][at];
        assert_eq!(result["score"], plain["results"][at]["score"]);
        assert!(plain["results"][at].get("attribution").is_none());
        let attribution = &result["attribution"];
        assert_eq!((&attribution["name"], &attribution["model"]), (&json!(canonical), &json!(model.id())));
        let bytes: Vec<f64> =
            attribution["bytes"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(bytes.len(), canonical.len());
        let sum = bytes.iter().sum::<f64>() + attribution["rest"].as_f64().unwrap();
        assert!((sum - f64::from(model.logit(canonical))).abs() < 0.01, "{attribution}");
        for span in attribution["spans"].as_array().unwrap() {
            let text = span["text"].as_str().unwrap();
            let start = span["at"].as_u64().unwrap() as usize;
            assert_eq!(&canonical[start..start + text.len()], text);
            let moved: f64 = bytes[start..start + text.len()].iter().sum();
            assert!((moved - span["logit"].as_f64().unwrap()).abs() < 0.01, "{span}");
        }
    }
    assert!(reply["results"][1].get("attribution").is_none() && reply["results"][1]["error"].is_string());
    let seed = server.post("/v1/score", &json!({ "names": names, "model": "seed", "attribution": true }));
    assert!(seed.json()["results"][0].get("attribution").is_none(), "the seed does not tell");
    let many = server.post("/v1/score", &json!({ "names": vec!["a.example"; 65], "attribution": true }));
    assert_eq!(many.status, 400);
    assert!(many.json()["error"].as_str().unwrap().contains("at most 64"), "{}", many.text());
}

#[test]
fn every_model_of_the_registry_is_served_by_name_and_by_identifier() {
    let server = Server::start(&[]);
    let seed = seed_model(5);
    for asked in ["seed", seed.id()] {
        let reply = server.post("/v1/score", &json!({ "names": ["example.com"], "model": asked })).json();
        assert_eq!(reply["model"], seed.id());
        assert_same(&reply["results"][0]["score"], seed.score(seed.logit("example.com")));
    }
    let reply = server.post("/v1/score", &json!({ "names": ["example.com"], "model": "seed@00000000" }));
    assert_eq!(reply.status, 404);
    assert!(reply.json()["error"].as_str().unwrap().contains("large, seed"));
}

#[test]
fn requests_that_are_not_understood_are_refused_with_the_reason() {
    let server = Server::start(&[]);
    for body in ["", "{", "[]", "{\"names\":7}", "{\"names\":[1]}", "\u{0}\u{1}"] {
        let reply = server.request("POST", "/v1/score", "", body.as_bytes());
        assert_eq!(reply.status, 400, "{body:?}");
        assert!(reply.json()["error"].as_str().unwrap().contains("score request"));
    }
    let reply = server.request("POST", "/v1/score", "x-dnsvet-deadline-ms: soon\r\n", b"{\"names\":[]}");
    assert_eq!(reply.status, 400);
    assert_eq!(server.get("/v1/score").status, 405);
    assert_eq!(server.get("/nothing").status, 404);
    assert_eq!(server.post("/v1/score", &json!({ "names": [] })).json()["results"], json!([]));
}

#[test]
fn a_body_past_4_mib_is_413_and_one_below_is_scored() {
    let server = Server::start(&[]);
    let names = |bytes: usize| json!({ "names": vec!["abcdefghijkl.example"; bytes / 23] });
    let reply = server.post("/v1/score", &names((4 << 20) - 23));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["results"].as_array().unwrap().len(), ((4 << 20) - 23) / 23);
    let reply = server.post("/v1/score", &names((4 << 20) + 100));
    assert_eq!(reply.status, 413);
    assert!(reply.json()["error"].as_str().unwrap().contains("4194304"));
}

#[test]
fn a_full_queue_is_429_and_comes_to_itself_again() {
    // The first request is taken by the empty queue, and those behind it find it full.
    let server = Server::start(&["--queue-names", "64", "--threads", "1"]);
    let body = json!({ "names": vec!["abcdefghijkl.example"; 60_000] }).to_string();
    let refused = AtomicUsize::new(0);
    let scored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let reply = server.request("POST", "/v1/score", "", body.as_bytes());
                match reply.status {
                    200 => scored.fetch_add(1, Ordering::Relaxed),
                    429 => {
                        assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
                        assert!(reply.json()["error"].as_str().unwrap().contains("try again"));
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                    other => panic!("status {other}"),
                };
            });
        }
    });
    let (refused, scored) = (refused.into_inner(), scored.into_inner());
    assert!(refused > 0 && scored > 0, "{refused} refused, {scored} scored");
    assert_eq!(server.post("/v1/score", &json!({ "names": ["example.com"] })).status, 200);
    assert_eq!(server.metric("dnsvet_scorer_requests_total{outcome=\"overload\"}"), refused as f64);
}

#[test]
fn requests_past_the_bound_are_429() {
    let server = Server::start(&["--in-flight", "1"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let half = b"POST /v1/score HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{\"nam";
    let is_refused = |_| server.post("/v1/score", &json!({ "names": [] })).status == 429;
    // The first one may come while a probe of the round before still holds the only place.
    let mut held = loop {
        assert!(Instant::now() < deadline, "a second request was never refused");
        let mut held = server.connect();
        held.write_all(half).unwrap();
        if (0..50).any(is_refused) {
            break held;
        }
    };
    held.write_all(b"es\": [] }").unwrap();
    assert_eq!(Response::read(held).status, 200);
    assert_eq!(server.post("/v1/score", &json!({ "names": [] })).status, 200);
}

#[test]
fn names_whose_deadline_has_passed_are_not_scored() {
    // A batch waits longer for company than the caller does for the answer.
    let server = Server::start(&["--batch-wait-us", "300000"]);
    let body = json!({ "names": ["a.example", "b.example"] }).to_string();
    let reply = server.request("POST", "/v1/score", "x-dnsvet-deadline-ms: 20\r\n", body.as_bytes());
    assert_eq!(reply.status, 504);
    assert!(reply.json()["error"].as_str().unwrap().contains("deadline"));
    assert_eq!(server.metric("dnsvet_scorer_deadline_names_total"), 2.0);
    assert_eq!(server.metric("dnsvet_scorer_scored_names_total"), 0.0);
    let reply = server.request("POST", "/v1/score", "x-dnsvet-deadline-ms: 20000\r\n", body.as_bytes());
    assert_eq!(reply.status, 200);
}

#[test]
fn concurrent_requests_share_batches() {
    let server = Server::start(&["--batch-wait-us", "100000", "--threads", "1"]);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                assert_eq!(server.post("/v1/score", &json!({ "names": ["a.example"] })).status, 200);
            });
        }
    });
    let batches = server.metric("dnsvet_scorer_batch_names_count");
    assert!(batches <= 8.0, "16 requests made {batches} batches");
}

/// Whether a number read from JSON is the one expected; reading may be off in the last bit.
#[track_caller]
fn assert_same(got: &Value, expected: f64) {
    let got = got.as_f64().unwrap();
    assert!((got - expected).abs() <= 1e-14, "{got} and {expected}");
}

fn stream_names(count: usize) -> impl Iterator<Item = String> {
    (0..count as u64).map(|i| {
        let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{mixed:x}.{}.example", i % 977)
    })
}

#[test]
fn a_stream_of_200_000_names_comes_back_in_order_in_bounded_memory() {
    let server = Server::start(&["--queue-names", "8192"]);
    let count = 200_000;
    let before_kib = server.resident_kib();
    let stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let reply = std::thread::scope(|scope| {
        scope.spawn(move || {
            let head = "POST /v1/score/stream?model=seed HTTP/1.1\r\nhost: s\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
            writer.write_all(head.as_bytes()).unwrap();
            let names: Vec<String> = stream_names(count).collect();
            for names in names.chunks(1_000) {
                let part = names.join("\n") + "\n";
                write!(writer, "{:x}\r\n{part}\r\n", part.len()).unwrap();
            }
            writer.write_all(b"0\r\n\r\n").unwrap();
        });
        Response::read(stream)
    });
    assert_eq!(reply.status, 200);
    let text = reply.text();
    let model = seed_model(5);
    let mut lines = text.lines();
    for (index, name) in stream_names(count).enumerate() {
        let (echo, score) = lines.next().unwrap().split_once('\t').unwrap();
        assert_eq!(echo, name);
        let score: f64 = score.parse().unwrap();
        if index % 1_000 == 0 {
            assert!((score - model.score(model.logit(&name))).abs() < 1e-8, "{name}");
        }
    }
    assert_eq!(lines.next(), None);
    let grown_kib = server.resident_kib() - before_kib;
    assert!(grown_kib < 32 << 10, "{grown_kib} KiB for a stream");
}

#[test]
fn a_stream_answers_while_the_caller_still_writes() {
    use std::io::{BufRead, BufReader};
    let server = Server::start(&[]);
    let stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let head = "POST /v1/score/stream HTTP/1.1\r\nhost: s\r\ntransfer-encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).unwrap();
    let part: String = stream_names(10_000).map(|name| name + "\n").collect();
    write!(writer, "{:x}\r\n{part}\r\n", part.len()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains(".example\t") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
    }
    writer.write_all(b"0\r\n\r\n").unwrap();
}

#[test]
fn a_stream_gives_a_line_for_each_line_and_says_what_is_wrong_with_it() {
    let server = Server::start(&[]);
    let reply =
        server.request("POST", "/v1/score/stream", "", b"a.example\r\n\nB.Example\nbad name\nend.example");
    let model = table_model("large", 11);
    let text = reply.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    let score = |line: &str| line.split_once('\t').unwrap().1.parse::<f64>().unwrap();
    assert!((score(lines[0]) - model.score(model.logit("a.example"))).abs() < 1e-8);
    assert!(lines[1].starts_with("\terror: "));
    assert!(lines[2].starts_with("B.Example\t"));
    assert!((score(lines[2]) - model.score(model.logit("b.example"))).abs() < 1e-8);
    assert!(lines[3].starts_with("bad name\terror: "));
    assert!(lines[4].starts_with("end.example\t"));
    assert_eq!(server.request("POST", "/v1/score/stream?model=none", "", b"a.example\n").status, 404);
}

#[test]
fn open_inference_protocol_v2() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/v2/health/live").status, 200);
    assert_eq!(server.get("/v2/health/ready").status, 200);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/v2").json()["name"], "dnsvet-scorer");
    assert_eq!(server.get("/v2/models/none").status, 404);
    let about = server.get("/v2/models/seed").json();
    assert_eq!(about["inputs"][0]["datatype"], "BYTES");
    assert_eq!(server.get("/v2/models/seed/ready").status, 200);

    let request = |data: Value, shape: Value| json!({ "id": "7", "inputs": [{ "name": "names", "datatype": "BYTES", "shape": shape, "data": data }] });
    let reply =
        server.post("/v2/models/seed/infer", &request(json!(["a.example", "b.example"]), json!([2]))).json();
    let model = seed_model(5);
    assert_eq!(
        format!("{}@{}", reply["model_name"].as_str().unwrap(), reply["model_version"].as_str().unwrap()),
        model.id()
    );
    assert_eq!(reply["id"], "7");
    let output = |name: &str| {
        let outputs = reply["outputs"].as_array().unwrap();
        outputs.iter().find(|tensor| tensor["name"] == name).unwrap()["data"].clone()
    };
    for (index, name) in ["a.example", "b.example"].into_iter().enumerate() {
        assert_same(&output("score")[index], model.score(model.logit(name)));
    }
    assert_eq!(output("logit")[1].as_f64().unwrap() as f32, model.logit("b.example"));

    for (data, shape) in
        [(json!(["a.example"]), json!([2])), (json!(["bad name"]), json!([1])), (json!([1]), json!([1]))]
    {
        let reply = server.post("/v2/models/seed/infer", &request(data, shape));
        assert_eq!(reply.status, 400);
        assert!(reply.json()["error"].is_string());
    }
}

#[test]
fn sigterm_answers_what_is_in_work_and_then_ends() {
    let mut server = Server::start(&["--batch-wait-us", "1000000"]);
    let body = json!({ "names": ["a.example"] }).to_string();
    let mut stream = server.connect();
    write!(
        stream,
        "POST /v1/score HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.metric("dnsvet_scorer_queued_names") < 1.0 {
        assert!(Instant::now() < deadline, "the request never came into the queue");
    }
    server.signal("TERM");
    let reply = Response::read(stream);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["results"].as_array().unwrap().len(), 1);
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_hot_swap_loses_no_request_and_each_reply_is_of_one_model() {
    let server = Server::start(&[]);
    let stop = AtomicBool::new(false);
    let [stack, _] = stack_models("large", 77);
    let models = [table_model("large", 11), stack];
    let body = json!({ "names": stream_names(300).collect::<Vec<_>>() }).to_string();
    let names: Vec<String> = stream_names(300).collect();
    let seen = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = BTreeSet::new();
                    while !stop.load(Ordering::Relaxed) {
                        let reply = server.request("POST", "/v1/score", "", body.as_bytes());
                        assert_eq!(reply.status, 200, "{}", reply.text());
                        let reply = reply.json();
                        let model = models.iter().find(|model| reply["model"] == model.id()).unwrap();
                        for (name, result) in names.iter().zip(reply["results"].as_array().unwrap()) {
                            assert_same(&result["score"], model.score(model.logit(name)));
                        }
                        seen.insert(model.id().to_owned());
                    }
                    seen
                })
            })
            .collect();
        for round in 1..=6 {
            put(server.registry.path(), &models[round % 2]);
            server.signal("HUP");
            let deadline = Instant::now() + Duration::from_secs(30);
            while server.metric("dnsvet_scorer_reloads_total") < round as f64 {
                assert!(Instant::now() < deadline, "reload {round} never came");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        stop.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<BTreeSet<_>>()
    });
    assert_eq!(seen.len(), 2, "both models answered");
}

#[test]
fn a_bad_registry_is_refused_and_the_models_in_force_stay() {
    let server = Server::start(&[]);
    std::fs::write(server.registry.path().join("large/model.dvm"), b"DVM1 garbage").unwrap();
    server.signal("HUP");
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.metric("dnsvet_scorer_failed_reloads_total") < 1.0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    let reply = server.post("/v1/score", &json!({ "names": ["a.example"] })).json();
    assert_eq!(reply["model"], table_model("large", 11).id());
}

#[test]
fn the_bundled_models_are_served_by_cpu_and_by_tract_with_the_same_scores() {
    let name = "login-secure-account.example.top";
    for model in ["large", "small", "seed"] {
        let scores = ["cpu", "tract"].map(|device| {
            let server = Server::bundled(&["--device", device, "--model", model, "--threads", "1"]);
            let reply = server.post("/v1/score", &json!({ "names": [name] })).json();
            assert_eq!(reply["device"], device);
            reply["results"][0]["score"].as_f64().unwrap()
        });
        assert!((scores[0] - scores[1]).abs() < 1e-5, "{model}: {scores:?}");
    }
}

#[test]
fn the_bench_reports_every_ratio_or_why_there_is_none() {
    let mut command = std::process::Command::new(process::binary());
    command.args(["bench", "--json", "--rounds", "1", "--names", "64", "--drawn-stack"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for model in ["small", "large"] {
        assert!(report["ratios"][format!("{model}_vs_tract")].as_f64().unwrap() > 0.0, "{report}");
        let ratio = format!("{model}_vs_onnxruntime");
        let why =
            report["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().starts_with(&ratio));
        assert!(report["ratios"][&ratio].as_f64().is_some_and(|ratio| ratio > 0.0) != why, "{report}");
    }
    for model in ["small", "large", "stack"] {
        assert!(report["names_packed_per_cpu_s"][model].as_f64().unwrap() > 0.0, "{report}");
        let gpu = report["names_per_gpu_s"][model]["4096"].as_f64().is_some_and(|rate| rate > 0.0);
        let why =
            report["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("no GPU"));
        assert!(gpu != why, "{report}");
    }
}

#[test]
fn replies_and_metrics_say_where_a_stack_was_scored() {
    for (device, label) in [("cpu", "cpu"), ("cuda", "cuda:0")] {
        if device == "cuda" && !std::path::Path::new("/dev/nvidiactl").exists() {
            println!("skipped: no GPU to score stacks on");
            continue;
        }
        let [stack, _] = stack_models("large", 7);
        // No kernel runs it, so it is scored on the CPU, whatever was asked for.
        let wide = wide_stack_model("wide", 7);
        let server = Server::with(&[stack.clone(), wide.clone()], &["--device", device]);
        for (model, label) in [(stack, label), (wide, "cpu")] {
            let names = ["example.com", "a.pay-pal1.login.top"];
            let name = &model.spec().name;
            let reply = server.post("/v1/score", &json!({ "names": names, "model": name })).json();
            assert_eq!(reply["device"], label);
            for (name, result) in names.iter().zip(reply["results"].as_array().unwrap()) {
                let score = result["score"].as_f64().unwrap();
                assert!((score - model.score(model.logit(name))).abs() <= 1e-5, "{name}: {score}");
            }
            let scored =
                format!("dnsvet_scorer_scored_names_total{{model=\"{name}\",device=\"{label}\"}} 2\n");
            let metrics = server.request("GET", "/metrics", "", b"").text();
            assert!(metrics.contains(&scored), "{metrics}");
        }
    }
}

#[test]
fn cuda_without_a_driver_ends_with_the_reason() {
    let registry = tempfile::tempdir().unwrap();
    put(registry.path(), &table_model("large", 11));
    let serve = |device: &str, model: &str| {
        let mut command = std::process::Command::new(process::binary());
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--device",
            device,
            "--model",
            model,
            "--registry",
        ]);
        command.arg(registry.path()).output().unwrap()
    };
    let output = serve("cpu", "none");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it has: large"));
    if std::path::Path::new("/dev/nvidiactl").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    let output = serve("cuda", "large");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("libcuda") || stderr.contains("no GPU"), "{stderr}");
}
