//! Bad files: each is refused with its place and what to do, and the last good state stays in force.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dnsvet_tests::client::Door;
use dnsvet_tests::false_server::FalseServer;
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, eventually};
use xtask::line::{Options, Ports};
use xtask::workspace;

const PATIENCE: Duration = Duration::from_secs(20);
const REFUSED: &str = "dnsvet_filter_snapshots_refused_total";

/// Runs a binary of the workspace to its end.
fn run(binary: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(workspace::binary(binary, false));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary is built");
    // A program that refuses its arguments does not read its input.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    child.wait_with_output().expect("it ends")
}

/// It fails with 1, and says each of these on standard error.
fn fails_saying(output: &Output, said: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in said {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// Waits until `serve` has printed each of these.
fn logs(rig: &Rig, said: &[&str]) {
    let printed = || rig.serve.as_ref().map(|serve| serve.printed()).unwrap_or_default();
    let found = eventually(PATIENCE, || said.iter().all(|part| printed().contains(part)));
    assert!(found.is_some(), "not all of {said:?} in:\n{}", printed());
}

fn reload(rig: &Rig) {
    let serve = rig.serve.as_ref().expect("it runs");
    serve.signal("HUP").unwrap_or_else(|error| panic!("{error}"));
}

fn still_blocks(rig: &Rig, blocked: &[String], doors: &[Door]) {
    let client = rig.client();
    for door in doors {
        for (name, reply) in blocked.iter().zip(client.ask_all(*door, blocked)) {
            assert_eq!(reply.rcode(), Some(3), "{door:?} {name}: {reply:?}");
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("the file is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("the file can be written");
}

#[test]
fn a_bad_configuration_or_list_is_refused_at_reload_and_the_last_good_one_stays() {
    let mut draw = Draw::new("bad files");
    let blocked: Vec<String> = (0..20).map(|_| draw.domain()).collect();
    let rig = Rig::start(Plan { blocked: blocked.clone(), envoy: false, ..Plan::new("refused") });
    let config = rig.options.folder.join("dnsvet.toml");
    let list = rig.options.folder.join("blocked.txt");
    let good_config = fs::read(&config).expect("the configuration");

    change(&config, |text| text.splice(..0, *b"\nupstream = []\n").for_each(drop));
    reload(&rig);
    logs(&rig, &["reload refused", "dnsvet.toml:2: unknown key `upstream`; did you mean `upstreams`?"]);
    still_blocks(&rig, &blocked, &[Door::Udp]);
    fs::write(&config, good_config).expect("the configuration");

    // A line that is no rule is passed over and named; the list's other lines hold.
    let more = draw.plain_domain();
    change(&list, |text| text.extend(format!("not a name at all\n{more}\n").into_bytes()));
    reload(&rig);
    logs(&rig, &["lines of a list were skipped", "blocked.txt:21: \\\"not a name at all\\\""]);
    assert!(eventually(PATIENCE, || rig.client().ask(Door::Udp, &more).rcode() == Some(3)).is_some());
    still_blocks(&rig, &blocked, &[Door::Udp]);

    // A list without one rule is some other file.
    fs::write(&list, "<html>\n<body>504 Gateway Time-out</body>\n").expect("the list");
    reload(&rig);
    logs(&rig, &["none of its 2 lines is a plain rule", "what was read of a list last stays in force"]);
    still_blocks(&rig, &blocked, &[Door::Udp]);
    fs::remove_file(&list).expect("the list");
    reload(&rig);
    logs(&rig, &["blocked.txt: No such file or directory", "correct its path or its rights"]);
    still_blocks(&rig, &blocked, &[Door::Udp]);

    // Neither is there a start with a configuration that can't be read.
    change(&config, |text| text.extend(b"[listen]\nhttp = \"\"\n"));
    let output = run("dnsvet", &["serve", "--config", &config.display().to_string()], "");
    fails_saying(&output, &["dnsvet.toml:", "unknown key `listen.http`"]);
}

#[test]
fn a_command_whose_output_nobody_takes_ends_and_says_why_if_that_is_a_fault() {
    let command = || {
        let mut command = Command::new(workspace::binary("dnsvet", false));
        command.args(["config", "reference"]).stderr(Stdio::piped());
        command
    };
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = command().stdout(full).output().expect("the binary is built");
    fails_saying(&output, &["dnsvet: standard output: No space left on device"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command().stdout(writer).output().expect("the binary is built");
    assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
}

#[test]
fn a_list_that_is_a_pipe_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("coreutils");
    assert!(made.success());
    let config = folder.path().join("dnsvet.toml");
    let data = folder.path().join("data");
    let text = format!("data_dir = {data:?}\nlists = [{pipe:?}]\nlisten.api = \"127.0.0.1:0\"\n");
    fs::write(&config, text).expect("the configuration");
    let config = config.display().to_string();
    let output = run("dnsvet", &["serve", "--roles", "control", "--config", &config], "");
    fails_saying(&output, &["pipe: not a regular file"]);
    // Whose password nobody has seen is not there yet: the next start shows one.
    fs::remove_file(&pipe).expect("the pipe");
    fs::write(&pipe, "bad.example\n").expect("the list");
    let printed = folder.path().join("printed");
    let serve = Command::new(workspace::binary("dnsvet", false))
        .args(["serve", "--roles", "control", "--config", &config])
        .stdout(fs::File::create(&printed).expect("a file of ours"))
        .spawn();
    let mut serve = serve.expect("the binary is built");
    let shown = || fs::read_to_string(&printed).is_ok_and(|text| text.contains("\nlogin    admin "));
    let login = eventually(PATIENCE, shown);
    serve.kill().and_then(|()| serve.wait()).expect("it runs");
    assert!(login.is_some(), "{:?}", fs::read_to_string(&printed));
}

#[test]
fn a_damaged_or_older_snapshot_is_refused_by_every_reader() {
    let mut draw = Draw::new("bad snapshots");
    let blocked: Vec<String> = (0..20).map(|_| draw.domain()).collect();
    let mut rig = Rig::start(Plan { blocked: blocked.clone(), ..Plan::new("bad-snapshot") });
    let kept = rig.data_dir().join("snapshot.dvs");
    // A snapshot that Envoy has not seen: it sleeps while a decision is made.
    let envoy = |signal: &str| {
        let envoy = rig.envoy.as_ref().expect("it runs");
        envoy.signal(signal).unwrap_or_else(|error| panic!("{error}"));
    };
    envoy("STOP");
    let decided = draw.plain_domain();
    rig.dnsvet(&["vet", &decided, "malicious"]);
    let newer = rig.api().get("/api/v1/overview").text;
    let is_kept = || fs::read(&kept).is_ok_and(|bytes| newer.contains(&snapshot_id(&bytes)));
    assert!(eventually(PATIENCE, is_kept).is_some(), "serve keeps the snapshot with the decision");
    rig.serve = None;
    rig.envoy.as_ref().expect("it runs").signal("CONT").unwrap_or_else(|error| panic!("{error}"));
    let whole = fs::read(&kept).expect("serve kept its snapshot");
    // Damage in what is new: chunks that Envoy holds already are not read again.
    let mut damaged = whole.clone();
    let at = whole.windows(decided.len()).position(|bytes| bytes == decided.as_bytes());
    damaged[at.expect("the decision is in the snapshot")] ^= 1;
    // Major version, behind the header of 112 bytes.
    let mut older = whole.clone();
    older[112..114].copy_from_slice(&[0, 0]);
    let cut = whole[..200].to_vec();

    // The older one last: what no second fetch can cure is asked for less and less often.
    let bad = [(damaged, "is damaged"), (cut, "cut short"), (b"x".to_vec(), ""), (older, "build it again")];
    for (bytes, why) in bad {
        fs::write(&kept, &bytes).expect("the snapshot");
        let path = kept.display().to_string();
        fails_saying(
            &run("dnsvet", &["check", "--snapshot", &path, "example.com"], ""),
            &["snapshot.dvs", why],
        );
        let before = rig.envoy_metric(REFUSED);
        let feed = bad_feed(rig.options.ports.api, bytes);
        let refused = eventually(PATIENCE, || rig.envoy_metric(REFUSED) > before);
        assert!(refused.is_some(), "Envoy's plugin refuses a snapshot that is: {why}");
        drop(feed);
        still_blocks(&rig, &blocked, &[Door::Envoy]);
    }
    rig.serve = Some(rig.options.start_serve().unwrap_or_else(|error| panic!("{error}")));
    logs(&rig, &["the snapshot of the last run can't be used; a fresh one is compiled"]);
    still_blocks(&rig, &blocked, &[Door::Udp, Door::Envoy]);
}

/// The id of a snapshot: the first half of its manifest's BLAKE3, which stands at byte 16.
fn snapshot_id(bytes: &[u8]) -> String {
    bytes.get(16..24).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A control plane that has one answer to whatever is asked.
fn bad_feed(port: u16, body: Vec<u8>) -> FalseServer {
    FalseServer::start(port, move |mut stream| {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        // What Envoy makes of it is what the test looks at.
        let _ = stream.read(&mut [0; 16_384]);
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    })
}

/// A shipped model in a registry of its own; returns its folder.
fn copy_artifact(name: &str, registry: &Path) -> PathBuf {
    let out = registry.display().to_string();
    let exported = run("dnsvet", &["model", "export", name, "--out", &out], "");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    registry.join(name)
}

#[test]
fn a_model_that_is_not_what_its_manifest_says_is_refused_by_name() {
    let registry = workspace::target().join("tmp/bad-models");
    let _ = fs::remove_dir_all(&registry);
    let path = registry.display().to_string();
    let score = || run("dnsvet", &["score", "--model", "small", "--registry", &path], "example.com\n");
    let small = copy_artifact("small", &registry);
    assert!(score().status.success(), "the copy is good");

    change(&small.join("model.dvm"), |bytes| bytes[1_000] ^= 1);
    fails_saying(&score(), &["model.dvm of small does not match the hash", "copy the whole folder again"]);
    fs::write(small.join("manifest.json"), "{").expect("the manifest");
    fails_saying(&score(), &["manifest of small"]);

    let large = copy_artifact("large", &registry);
    change(&large.join("model.onnx"), |bytes| bytes.truncate(1_000));
    let output = run("dnsvet-scorer", &["serve", "--listen", "127.0.0.1:0", "--registry", &path], "");
    fails_saying(&output, &["model.onnx of large", "copy the whole folder again"]);
    let [onnx, manifest] = ["model.onnx", "manifest.json"].map(|file| large.join(file).display().to_string());
    let other = registry.join("imported").display().to_string();
    let imported = run("dnsvet", &["model", "import", &onnx, "--manifest", &manifest, "--out", &other], "");
    fails_saying(&imported, &[""]);
    assert!(!Path::new(&other).join("large").exists(), "nothing was stored");
}

#[test]
fn a_scorer_that_is_told_to_take_a_bad_model_goes_on_with_the_good_one() {
    let mut options = Options::new(&workspace::target().join("tmp/bad-swap"), Ports::free().expect("ports"));
    let _ = fs::remove_dir_all(&options.folder);
    let registry = options.folder.join("registry");
    let large = copy_artifact("large", &registry);
    options.scorer_flags = vec!["--registry".into(), registry.display().to_string()];
    let scorer = options.start_scorer().unwrap_or_else(|error| panic!("{error}"));
    let score = || {
        let url = format!("http://127.0.0.1:{}", options.ports.scorer);
        let output = run("dnsvet", &["score", "--scorer", &url], "example.com\n");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let before = score();
    change(&large.join("model.dvm"), |bytes| bytes[1_000] ^= 1);
    scorer.signal("HUP").unwrap_or_else(|error| panic!("{error}"));
    let said = || scorer.printed().contains("model.dvm of large does not match the hash");
    assert!(eventually(PATIENCE, said).is_some(), "{}", scorer.printed());
    assert_eq!(score(), before);
}
