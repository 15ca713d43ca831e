"""Reads the report as a browser would: tables, ids, references, and whether tags nest."""

from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """``tables``: rows of cell texts by heading; ``titles``: tooltips; ``errors``: bad nesting."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.errors = [], [], [], []
        self.tables, self.headings, self.titles, self.svg_texts = {}, [], [], []
        self.open, self.text = [], ""
        self.feed(text)
        self.close()
        self.errors += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "th", "td", "title", "text"):
            self.text = ""

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "table":
            self.tables[self.headings[-1]] = self.tables.get(self.headings[-1], [])
        if tag == "tr":
            self.tables[self.headings[-1]].append([])
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "xlink:href", "src", "action", "data", "srcset"):
                self.references.append(value)
            elif value and "url(" in value:
                self.references += [part.split(")")[0] for part in value.split("url(")[1:]]

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"</{tag}> closes nothing at {self.getpos()}")
        text = " ".join(self.text.split())
        if tag in ("h1", "h2", "h3"):
            self.headings.append(text)
        elif tag in ("th", "td"):
            self.tables[self.headings[-1]][-1].append(text)
        elif tag == "title":
            self.titles.append(text)
        elif tag == "text":
            self.svg_texts.append(text)
