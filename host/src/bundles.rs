//! Bundles: safe search and services that a group can do without, as lists that come with dnsvet.

/// The licence of all of them.
pub const LICENCE: &str = "MIT OR Apache-2.0";

/// Name and text, in adblock syntax.
pub const ALL: &[(&str, &str)] = &[
    ("safe_search", include_str!("../bundles/safe_search.txt")),
    ("youtube_moderate", include_str!("../bundles/youtube_moderate.txt")),
    ("youtube_strict", include_str!("../bundles/youtube_strict.txt")),
    ("block_discord", include_str!("../bundles/block_discord.txt")),
    ("block_facebook", include_str!("../bundles/block_facebook.txt")),
    ("block_fortnite", include_str!("../bundles/block_fortnite.txt")),
    ("block_instagram", include_str!("../bundles/block_instagram.txt")),
    ("block_minecraft", include_str!("../bundles/block_minecraft.txt")),
    ("block_netflix", include_str!("../bundles/block_netflix.txt")),
    ("block_reddit", include_str!("../bundles/block_reddit.txt")),
    ("block_roblox", include_str!("../bundles/block_roblox.txt")),
    ("block_snapchat", include_str!("../bundles/block_snapchat.txt")),
    ("block_steam", include_str!("../bundles/block_steam.txt")),
    ("block_telegram", include_str!("../bundles/block_telegram.txt")),
    ("block_tiktok", include_str!("../bundles/block_tiktok.txt")),
    ("block_twitch", include_str!("../bundles/block_twitch.txt")),
    ("block_whatsapp", include_str!("../bundles/block_whatsapp.txt")),
    ("block_x", include_str!("../bundles/block_x.txt")),
    ("block_youtube", include_str!("../bundles/block_youtube.txt")),
];

/// The text of a bundle.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Their names, for messages.
pub fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use dnsvet_core::lists::{Format, collect};

    use super::*;

    #[test]
    fn every_line_of_every_bundle_is_a_rule() {
        for (name, text) in ALL {
            let (entries, rejected, _) = collect(text.as_bytes(), Format::Adblock);
            assert!(rejected.is_empty() && entries.len() > 1, "{name}: {rejected:?}");
        }
    }
}
