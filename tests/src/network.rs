//! A network of its own for one test: its system resolver is dnsvet, nothing outside can be reached, and what is
//! sent elsewhere is noted.
//!
//! ```text
//! test ── unshare (network, mounts) ──► the same test again, in here:
//!
//!   browser ─► 127.0.0.1:53    dnsvet; /etc/resolv.conf names no other
//!           ─► WEB             where every name leads
//!           ─► ELSEWHERE       an encrypted resolver of somebody else's
//!           ─► PUBLIC          public resolvers, port 53
//!           ─► anything else   refused and noted
//! ```
//!
//! The surprise: the test's body runs in another process, the test's own program started once more for this test
//! alone. Only so do threads, servers and browsers all live in the new network.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use xtask::error::Error;
use xtask::{shell, workspace};

use crate::upstream;

/// Where every name leads: the upstream's one answer.
pub const WEB: Ipv4Addr = upstream::ADDRESS;
/// An encrypted resolver of somebody else's, if the test starts one.
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);
/// Public resolvers that Chromium asks unencrypted to find out why a page failed.
pub const PUBLIC: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(8, 8, 4, 4)];

/// Says that this process is the one in the new network. dnsvet refuses keys of its own that it does not know.
const INSIDE: &str = "TEST_NETWORK_OF_ITS_OWN";
/// Who may make a network: anybody where the system lets users have namespaces, else root.
const WAYS: [&[&str]; 2] = [&["--map-root-user", "--net", "--mount"], &["--net", "--mount"]];

/// A pair of cables that lead to nobody, so that browsers believe to be online. Addresses of this machine are
/// reached over `lo`, all else leaves by the cable and meets the rule.
const SET_UP: &str = r#"
PATH="$PATH:/usr/sbin:/sbin"
ip link set lo up
ip link add here type veth peer name there
ip link set here addrgenmode none
ip link set there addrgenmode none
ip link set there up
ip link set here up
for address in $ADDRESSES; do ip addr add "$address/32" dev here; done
ip route add 198.51.100.1 dev here
ip route add default via 198.51.100.1 dev here
nft -f "$FOLDER/watch.nft"
for file in resolv.conf nsswitch.conf; do mount --bind "$FOLDER/$file" "/etc/$file"; done
"#;

const WATCH: &str = "table ip watch {
    set elsewhere {
        type ipv4_addr . inet_proto . inet_service
        size 4096
        flags dynamic
    }
    chain out {
        type filter hook output priority 0;
        oif lo accept
        meta l4proto { tcp, udp } add @elsewhere { ip daddr . meta l4proto . th dport }
        reject
    }
}
";

/// Runs `body` in a network of its own. `test` is the calling test as the test program lists it. Where there can
/// be no such network, or one of `programs` is missing, it says so and returns.
///
/// # Panics
/// If the test failed in there.
pub fn in_its_own(test: &str, programs: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    for program in ["ip", "nft", "unshare"].iter().chain(programs) {
        if shell::find(program).is_none() {
            println!("skipped: no {program} here; cargo xtask test installs it");
            return;
        }
    }
    let way = match way(test) {
        Ok(way) => way,
        Err(why) => {
            let why = why.to_string();
            let last = why.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
            println!("skipped: this system lets us have no network of our own: {last}");
            return;
        }
    };
    let program = std::env::current_exe().expect("this program's path");
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-ec", &format!("{SET_UP}\nexec \"$@\""), "network"]);
    command.arg(program).args([test, "--exact", "--nocapture"]).envs(environment(test)).env(INSIDE, "1");
    let output = command.output().expect("unshare starts");
    // Set off, so that nobody takes its sums for ours.
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("| {line}");
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}, in a network of its own: {}\n{errors}", output.status);
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(ran, "there is no test {test}");
}

/// What left for anywhere but this machine so far: address, protocol and port of each.
///
/// # Panics
/// If the rule is not there, that is outside [`in_its_own`].
pub fn sent_elsewhere() -> Vec<String> {
    let nft = shell::find("nft").unwrap_or_else(|| "nft".into());
    let text = shell::output(Command::new(nft).args(["list", "set", "ip", "watch", "elsewhere"]));
    let text = text.unwrap_or_else(|error| panic!("{error}"));
    let elements = text.split_once("elements = {").and_then(|(_, rest)| rest.split_once('}'));
    let elements = elements.map_or("", |(elements, _)| elements);
    let words = |element: &str| element.split_whitespace().collect::<Vec<_>>().join(" ");
    elements.split(',').map(words).filter(|element| !element.is_empty()).collect()
}

/// The way that works here; the error is the last one's.
fn way(test: &str) -> Result<&'static [&'static str], Error> {
    write_files(test)?;
    let mut last = None;
    for way in WAYS {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-ec", SET_UP, "network"]).envs(environment(test));
        match shell::output(&mut command) {
            Ok(_) => return Ok(way),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("there are ways"))
}

fn folder(test: &str) -> PathBuf {
    workspace::target().join("tmp/network").join(test.replace("::", "-"))
}

fn environment(test: &str) -> [(&'static str, String); 2] {
    let addresses: Vec<String> = [WEB, ELSEWHERE].iter().chain(&PUBLIC).map(Ipv4Addr::to_string).collect();
    [("FOLDER", folder(test).display().to_string()), ("ADDRESSES", addresses.join(" "))]
}

fn write_files(test: &str) -> Result<(), Error> {
    let folder = folder(test);
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let files = [
        ("resolv.conf", "nameserver 127.0.0.1\n"),
        // No daemon of the system's, which lives in the outer network, answers for dnsvet.
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("watch.nft", WATCH),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::file(&path))?;
    }
    Ok(())
}
