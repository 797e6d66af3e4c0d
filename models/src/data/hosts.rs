//! Names that machines and platforms give out, and long ones: benign, and hard to tell from what malware makes.
//!
//! Lists of popular names hold registrable domains; of `d111111abcdef8.cloudfront.net` or of a shop under a builder of
//! sites they hold next to none, while lists of malicious names hold many. A model that learns from lists alone takes
//! the platform, or the code, for the reason. These make up for it. The surprise: they are drawn, not collected, from
//! the shapes that the providers document; the words and codes in them mean nothing.

use std::collections::HashSet;

use super::dga;
use super::random::Random;

/// One shape: text, and `{...}` for what is drawn: a word (`w`), or a kind of letter and how many.
type Shape = &'static str;

/// Content networks, clouds, content addresses, telemetry.
const MACHINES: &[Shape] = &[
    "d{a13}.cloudfront.net",
    "d{a12}.cloudfront.net",
    "e{d5}.dsc{l1}.akamaiedge.net",
    "e{d4}.g.akamaiedge.net",
    "a{d4}.dsc{l1}.akamai.net",
    "a{d3}.w{d2}.akamai.net",
    "a{d3}-{d2}.g.akamai.net",
    "{w}.{w}.map.fastly.net",
    "{w}-{w}.global.ssl.fastly.net",
    "prod.{w}.map.fastlylb.net",
    "{w}-{w}.b-cdn.net",
    "{d3}-{w}.cdn.cloudflare.net",
    "{h32}.r2.cloudflarestorage.com",
    "pub-{h32}.r2.dev",
    "{h8}.{w}.pages.dev",
    "{h8}.{w}-{w}.pages.dev",
    "{w}-{a9}.vercel.app",
    "{w}-git-{w}-{w}.vercel.app",
    "{w}-{w}-{h6}.netlify.app",
    "{h24}--{w}-{w}.netlify.app",
    "{w}-{a10}-uc.a.run.app",
    "{w}-{d12}.us-central1.run.app",
    "{w}-{w}-{d5}.web.app",
    "{w}-{h5}.firebaseapp.com",
    "{w}-{h5}-default-rtdb.firebaseio.com",
    "{w}-{w}-{h12}.herokuapp.com",
    "{w}-production-{h4}.up.railway.app",
    "{w}-{a4}.onrender.com",
    "{w}-app-{a5}.ondigitalocean.app",
    "{w}.{d3}-{d2}-{d3}-{d2}.sslip.io",
    "ec2-{d2}-{d3}-{d2}-{d3}.compute-1.amazonaws.com",
    "ec2-{d1}-{d3}-{d2}-{d2}.eu-west-{d1}.compute.amazonaws.com",
    "ip-{d2}-{d2}-{d3}-{d2}.us-west-2.compute.internal",
    "{w}-{w}.s3.eu-central-1.amazonaws.com",
    "{w}-{h12}.s3.us-east-2.amazonaws.com",
    "{a10}.execute-api.us-east-1.amazonaws.com",
    "{w}-{d9}.eu-west-1.elb.amazonaws.com",
    "{w}-lb-{h16}.elb.ap-southeast-2.amazonaws.com",
    "{w}.{a12}.eu-north-1.rds.amazonaws.com",
    "search-{w}-{a26}.us-east-1.es.amazonaws.com",
    "{h32}.gr7.us-west-2.eks.amazonaws.com",
    "{a32}.lambda-url.eu-west-1.on.aws",
    "{w}-env.{a10}.us-east-1.elasticbeanstalk.com",
    "{w}{w}{d2}.blob.core.windows.net",
    "{w}{d3}.file.core.windows.net",
    "{w}-{w}.azurewebsites.net",
    "{w}-{h16}.z01.azurefd.net",
    "{w}-{d4}.cloudapp.azure.com",
    "{w}-dns-{h8}.hcp.westeurope.azmk8s.io",
    "{w}.trafficmanager.net",
    "{h32}.safeframe.googlesyndication.com",
    "rr{d1}---sn-{a8}.googlevideo.com",
    "r{d1}---sn-{a12}.gvt1.com",
    "lh{d1}-{a6}.googleusercontent.com",
    "{d2}-{d2}-{d3}-{d3}.bc.googleusercontent.com",
    "{d7}.fls.doubleclick.net",
    "o{d6}.ingest.sentry.io",
    "o{d16}.ingest.us.sentry.io",
    "bam-{h8}.nr-data.net",
    "{h12}.akstat.io",
    "{d9}.collect.igodigital.com",
    "{l3}-{w}-{d2}.algolianet.com",
    "{a10}-dsn.algolia.net",
    "{d3}-{l3}-{d3}.mktoresp.com",
    "bafybei{b52}.ipfs.dweb.link",
    "bafkrei{b52}.ipfs.dweb.link",
    "bafybei{b52}.ipfs.w3s.link",
    "bafybei{b52}.ipfs.nftstorage.link",
    "k51qzi5uqu5d{a50}.ipns.dweb.link",
    "{a32}.ui.direct",
    "{h32}.plex.direct",
    "{d2}-{d3}-{d2}-{d3}.{h32}.plex.direct",
    "{h12}.myfritz.net",
    "{w}{d2}.synology.me",
    "{w}.myqnapcloud.com",
    "{h10}.sn.mynetname.net",
    "ip{d2}-{d3}-{d2}-{d3}.dynamic.{w}.net",
    "{d2}-{d3}-{d2}-{d3}.dsl.{w}.com",
    "host-{d2}-{d3}-{d2}-{d3}.pool.{w}.net",
];

/// Look-ups of reputations: what is asked about is in the name.
const LOOKUPS: &[Shape] = &[
    "{b26}.{b8}.{l1}.e5.sk",
    "{h32}.avqs.mcafee.com",
    "{a10}.{a24}.avts.mcafee.com",
    "{h40}.{l2}.sophosxl.net",
    "{d2}.{d3}.{d2}.{d3}.zen.spamhaus.org",
    "{d3}.{d2}.{d3}.{d2}.bl.spamcop.net",
    "{d3}.{d2}.{d3}.{d2}.b.barracudacentral.org",
    "{d2}.{d3}.{d2}.{d3}.dnsbl.{w}.net",
    "{w}-{w}.com.multi.surbl.org",
    "{w}{w}.net.dbl.spamhaus.org",
    "{h32}.malware.hash.cymru.com",
    "{d3}.{d2}.{d3}.{d2}.origin.asn.cymru.com",
    "{d5}.{h16}.cloud.{w}-security.com",
];

/// Customers of platforms: builders of sites and shops, hosts of projects, blogs.
pub(super) const CUSTOMERS: &[Shape] = &[
    "{w}.pages.dev",
    "{w}-{w}.pages.dev",
    "{w}.workers.dev",
    "{w}-{w}.{w}.workers.dev",
    "{w}.vercel.app",
    "{w}-{w}.vercel.app",
    "{w}-{w}-{w}.vercel.app",
    "{w}.netlify.app",
    "{w}-{w}.netlify.app",
    "{w}.web.app",
    "{w}-{w}.web.app",
    "{w}-{w}.firebaseapp.com",
    "{w}{w}.github.io",
    "{w}-{w}.github.io",
    "{w}.gitlab.io",
    "{w}-{w}.herokuapp.com",
    "{w}{w}.onrender.com",
    "{w}-{w}.fly.dev",
    "{w}-{w}.surge.sh",
    "{w}-{w}.glitch.me",
    "{w}-{w}-{w}.glitch.me",
    "{w}{d2}.wixsite.com",
    "{w}{w}.wixsite.com",
    "{w}{w}{d2}.weebly.com",
    "{w}-{w}.weebly.com",
    "{w}{w}.weeblysite.com",
    "{w}{w}.wordpress.com",
    "{w}and{w}.wordpress.com",
    "{w}{w}.blogspot.com",
    "the{w}{w}.blogspot.com",
    "{w}{w}.tumblr.com",
    "{w}-{w}.myshopify.com",
    "{w}{w}shop.myshopify.com",
    "{h6}-{d2}.myshopify.com",
    "{w}-{w}.webflow.io",
    "{w}-{w}-{h6}.webflow.io",
    "{w}-{w}.framer.app",
    "{w}-{w}.framer.website",
    "{w}-{w}.square.site",
    "{w}{w}.godaddysites.com",
    "{w}-{w}.gitbook.io",
    "{w}-{w}.carrd.co",
    "{w}{w}.my.canva.site",
    "{w}{w}.jimdosite.com",
    "{w}-{w}.mystrikingly.com",
    "{w}{w}.000webhostapp.com",
    "{w}{w}.repl.co",
    "{w}-{w}.replit.app",
    "{w}{w}.notion.site",
    "{w}-{w}.streamlit.app",
    "{w}{w}.duckdns.org",
    "{w}{w}.ddns.net",
    "{w}.eu.org",
    "{w}{w}.us.com",
];

/// Labels that people made long for the sake of it: sentences, alphabets, digits, places.
const LONG: &[Shape] = &[
    "{w}{w}{w}{w}{w}{w}.com",
    "{w}{w}{w}{w}{w}{w}{w}{w}.com",
    "the{w}{w}inthe{w}andthe{w}.org",
    "iamthe{w}ofthe{w}{w}{w}inthis{w}.com",
    "{w}and{w}and{w}and{w}and{w}.net",
    "this-is-the-{w}-{w}-of-the-{w}-{w}.com",
    "abcdefghijklmnopqrstuvwxyz{w}.com",
    "{w}abcdefghijklmnopqrstuvwxyz.com",
    "abcdefghijklmnopqrstuvwxyz{d3}.net",
    "qwertyuiopasdfghjklzxcvbnm{d3}.com",
    "zyxwvutsrqponmlkjihgfedcba{w}.com",
    "abcdefghijklm{w}nopqrstuvwxyz.org",
    "3.14159265358979{d30}.com",
    "1234567890123456789{d20}.com",
    "llanfairpwllgwyngyllgogerychwyrndrobwll{w}.co.uk",
    "{w}-llanfairpwllgwyngyll.co.uk",
    "llanfair{w}-gogerychwyrndrobwll.com",
    "{w}llantysiliogogogoch.com",
    "taumatawhakatangihangakoauau{w}.co.nz",
    "chargoggagoggmanchauggagogg{w}.com",
    "bovenendvankeelafsnysleegte{w}.co.za",
    "azpilicuetagaraycosaroyarenberecolarrea{w}.es",
    "donaudampfschifffahrtsgesellschaft{w}.de",
    "rindfleischetikettierungs{w}gesetz.de",
    "lentokonesuihkuturbiinimoottori{w}.fi",
];

/// `count` names, none twice, the same for the same seed, each with its weight in those of benign names: half are of
/// customers, who count a tenth, just enough that no platform is a reason; of ten names one is long, one a look-up.
pub fn names(count: usize, seed: u64) -> Vec<(String, f32)> {
    let mut random = Random::new(seed ^ 0x4057);
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(count);
    while names.len() < count {
        let (shapes, weight) = match names.len() % 10 {
            0 => (LONG, 1.0),
            2 => (LOOKUPS, 1.0),
            at if at % 2 == 0 => (MACHINES, 1.0),
            _ => (CUSTOMERS, 0.1),
        };
        let name = draw(random.pick::<Shape>(shapes), &mut random);
        if seen.insert(name.clone()) {
            names.push((name, weight));
        }
    }
    names
}

/// A name of a shape.
pub(super) fn draw(shape: &str, random: &mut Random) -> String {
    let mut name = String::new();
    let mut rest = shape;
    while let Some((text, after)) = rest.split_once('{') {
        let (hole, after) = after.split_once('}').unwrap_or((after, ""));
        name.push_str(text);
        let (kind, count) = hole.split_at(1);
        let letters: &[u8] = match kind {
            "a" => b"abcdefghijklmnopqrstuvwxyz0123456789",
            "b" => b"abcdefghijklmnopqrstuvwxyz234567",
            "d" => b"0123456789",
            "h" => b"0123456789abcdef",
            "l" => b"abcdefghijklmnopqrstuvwxyz",
            _ => b"",
        };
        match count.parse() {
            Ok(count) => name.extend((0..count).map(|_: usize| char::from(*random.pick(letters)))),
            Err(_) => name.push_str(dga::word(random)),
        }
        rest = after;
    }
    name + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnsvet_core::name::Name;

    #[test]
    fn every_shape_gives_names_that_are_canonical_and_unlike() {
        for shape in [MACHINES, LOOKUPS, CUSTOMERS, LONG].into_iter().flatten() {
            let mut random = Random::new(1);
            let drawn: HashSet<String> = (0..200).map(|_| draw(shape, &mut random)).collect();
            assert!(drawn.len() > 20, "{shape}: {} unlike of 200", drawn.len());
            for name in drawn {
                assert_eq!(Name::parse(&name).as_ref().map(Name::as_str), Ok(name.as_str()), "{shape}");
                assert!(!name.contains(['{', '}']), "{shape}: {name}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_names_none_twice() {
        let drawn = names(2_000, 3);
        assert_eq!(drawn, names(2_000, 3));
        assert_ne!(drawn, names(2_000, 4));
        assert_eq!(drawn.iter().map(|(name, _)| name).collect::<HashSet<_>>().len(), 2_000);
    }
}
