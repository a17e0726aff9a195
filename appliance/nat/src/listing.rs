use crate::numbers::{BindingKey, Numbers};

impl Numbers {
    /// What bindings and sites are called in a table as nftables lists it (`nft list table inet causeway_nat`); `None` if it is
    /// not such a listing.
    pub fn from_listing(listing: &str) -> Option<Self> {
        let mut lines = listing.lines().map(str::trim);
        let opening = format!("table {} {{", crate::render::TABLE);
        lines.find(|line| *line == opening)?;
        let mut numbers = Self::default();
        let mut block = "";
        for line in lines {
            if let Some(name) = line.strip_suffix('{') {
                block = name.trim();
            }
            if block == "map counters" {
                numbers.read_counters(line);
            } else if let Some(chain) = block.strip_prefix("chain class_") {
                numbers.read_class(chain, line);
            }
        }
        Some(numbers)
    }

    /// Elements such as `0x00000011 : "rule.0123456789abcdef"`, of the lower half.
    fn read_counters(&mut self, line: &str) {
        let elements = line.trim_start_matches("elements = {").trim_end_matches('}');
        for element in elements.split(',') {
            let Some((mark, name)) = element.split_once(" : ") else {
                continue;
            };
            let mark = mark.trim().trim_start_matches("0x");
            let (mark, key) = (
                u32::from_str_radix(mark, 16).ok(),
                BindingKey::read(name.trim().trim_matches('"')),
            );
            let id = mark.and_then(|mark| u16::try_from(mark).ok());
            if let (Some(id), Some(key)) = (id.filter(|id| *id > 0), key) {
                self.bindings.insert(key, id);
            }
        }
    }

    /// The chain's name begins with the class, and its comment is the site.
    fn read_class(&mut self, chain: &str, line: &str) {
        let class = chain.split('_').next().and_then(|class| class.parse::<u8>().ok());
        let site = line
            .strip_prefix("comment \"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let (Some(class), Some(site)) = (class.filter(|class| *class > 0), site) {
            self.sites.insert(site.to_owned(), class);
        }
    }
}
