//! Server-sent events, read from the bytes of a stream (WHATWG HTML §9.2.6).

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The id in force: that of this event or of an earlier one.
    pub(super) id: Option<String>,
    /// Its name.
    pub(super) name: String,
    /// Its data.
    pub(super) data: String,
}

/// Takes bytes in any portions, and gives whole events.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    event: Event,
    last_id: Option<String>,
    after_return: bool,
}

/// A line without end, from something that is not our server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Parser {
    /// Reads on.
    ///
    /// # Errors
    /// [`TooLong`] if a line or an event does not come to an end.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_of_line(&String::from_utf8_lossy(&line)));
                }
                byte => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            if event.data.is_empty() {
                return None;
            }
            event.data.pop(); // the last line end
            event.id.clone_from(&self.last_id);
            return Some(event);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            // Comments, `retry`, and what is not known.
            _ => {}
        }
        None
    }
}

/// Ours have a few hundred bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(portions: &[&str]) -> Vec<(Option<String>, String, String)> {
        let mut parser = Parser::default();
        let events = portions.iter().flat_map(|portion| parser.read(portion.as_bytes()).unwrap());
        events.map(|event| (event.id, event.name, event.data)).collect()
    }

    #[test]
    fn events_are_read_whatever_the_portions() {
        let event =
            |id: Option<&str>, name: &str, data: &str| (id.map(str::to_owned), name.to_owned(), data.to_owned());
        let text = ":hello\nretry: 3000\n\nid: 7\nevent: approval.created\ndata: {\"a\":1}\n\ndata: x\r\ndata:y\r\n\r\n: beat\n\n";
        let expected = vec![event(Some("7"), "approval.created", "{\"a\":1}"), event(Some("7"), "", "x\ny")];
        assert_eq!(read(&[text]), expected);
        let single: Vec<&str> = text.split_inclusive(|_| true).collect();
        assert_eq!(read(&single), expected);
        // What has not ended has not happened.
        assert_eq!(read(&["data: half\n"]), vec![]);
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.read(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(TooLong));
    }
}
