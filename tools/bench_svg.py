"""Plots of the benchmarks' results as SVG: both axes logarithmic, no scripts, a white background.

Colours are those of Okabe and Ito without the yellow, which white paper swallows; each contender
also has a marker of its own, and both are the same in all plots of a run.
"""

import dataclasses
import html
import math

from bench_results import OURS, human, is_handle

_COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#000000', '#e69f00', '#56b4e9', '#767676']
_WIDE = 480  # what the axes enclose, and where it begins and ends
_TOP, _BOTTOM = 64, 384
_HEIGHT = 448
_LETTER = 7.3  # the width of a letter in a label: more than most have
_FONT = "font-family='DejaVu Sans, Verdana, Helvetica, Arial, sans-serif'"


def _polygon(x, y, radius, corners, turn, inner=1.0):
    points = []
    for i in range(corners):
        angle = math.tau * (i / corners + turn)
        r = radius * (inner if i % 2 else 1.0)
        points.append(f'{x + r * math.sin(angle):.1f},{y - r * math.cos(angle):.1f}')
    return ' '.join(points)


# (corners, turned by how much of a circle, how far every second corner sticks out)
_SHAPES = [None, (4, 1 / 8, 1), (3, 0, 1), (4, 0, 1), (3, 1 / 2, 1), (8, 0, 0.4), (8, 1 / 8, 0.4),
           (5, 0, 1), (10, 0, 0.45), (12, 0, 0.5)]


class Styles:
    """Which contender looks how."""

    def __init__(self, contenders):
        self._index = {OURS: 0}
        for name in contenders:
            self._index.setdefault(name, len(self._index))

    def _of(self, name):
        i = self._index.setdefault(name, len(self._index))
        if i == 0:  # what it has is nobody else's
            return _COLOURS[0], _SHAPES[0], False
        colours, shapes = _COLOURS[1:], _SHAPES[1:]
        return (colours[(i - 1) % len(colours)], shapes[(i - 1) % len(shapes)],
                i > len(colours))

    def marker(self, name, x, y):
        colour, shape, _ = self._of(name)
        paint = f"fill='{colour}' stroke='#ffffff' stroke-width='0.6'"
        if shape is None:
            return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' {paint}/>"
        corners, turn, inner = shape
        points = _polygon(x, y, 6.5 if inner == 1 else 8, corners, turn, inner)
        return f"<polygon points='{points}' {paint}/>"

    def line(self, name, points):
        colour, _, again = self._of(name)
        dash = " stroke-dasharray='6 3'" if again else ''
        width = 3 if name.startswith(OURS) else 1.6
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
        return f"<polyline points='{path}' fill='none' stroke='{colour}' " \
               f"stroke-width='{width}'{dash}/>"


@dataclasses.dataclass
class Axis:
    name: str
    label: object          # number to text
    base: int = 10         # 2 for sizes
    ticks: list = None     # where to put them, if not at round numbers


def _round_ticks(low, high, base):
    """Round numbers from at most low to at least high: few enough to be read."""
    if base == 2:
        first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
        step = max(1, math.ceil((last - first) / 8))
        first -= first % step
        last = first + step * math.ceil((last - first) / step)
        return [2.0 ** e for e in range(first, last + 1, step)]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = last - first
    steps = (1, 2, 5) if decades <= 2 else (1,)
    skip = max(1, math.ceil(decades / 9))
    ticks = [m * 10.0 ** e for e in range(first, last + 1) for m in steps
             if (e - first) % skip == 0]
    start = max((i for i, t in enumerate(ticks) if t <= low * 1.001), default=0)
    end = min((i for i, t in enumerate(ticks) if t >= high * 0.999), default=len(ticks) - 1)
    return ticks[start:end + 1]


class _Scale:
    def __init__(self, values, axis, begin, end):
        low, high = min(values), max(values)
        if low == high and axis.ticks is None:
            low, high = low / 2, high * 2
        self.ticks = axis.ticks or _round_ticks(low, high, axis.base)
        low, high = min(low, self.ticks[0]), max(high, self.ticks[-1])
        margin = (high / low) ** 0.04 if high > low else 2  # no marker on the edge
        low, high = low / margin, high * margin
        self._low, self._span = math.log(low), math.log(high) - math.log(low)
        self._begin, self._length = begin, end - begin

    def __call__(self, value):
        return self._begin + self._length * (math.log(value) - self._low) / self._span


def _text(x, y, text, size_=12, anchor='middle', more=''):
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size_}' text-anchor='{anchor}' " \
           f"fill='#1a1a1a' {more}>{html.escape(text)}</text>"


def _shown(ticks, scale, room):
    """The ticks that have room for a label."""
    last, shown = -math.inf, []
    for tick in ticks:
        if abs(scale(tick) - last) >= room:
            shown.append(tick)
            last = scale(tick)
    return shown


def draw(title, note, x_axis, y_axis, series, styles):
    """series: {name: [(x, y)]}, all positive."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    up = _Scale(ys, y_axis, _BOTTOM, _TOP)
    left = 44 + math.ceil(_LETTER * max(len(y_axis.label(t)) for t in up.ticks))
    right = left + _WIDE
    across = _Scale(xs, x_axis, left, right)
    # As the lines end on the right, so that the eye finds them; procpool first.
    names = sorted(series, key=lambda n: (not n.startswith(OURS), up(series[n][-1][1])))
    width = math.ceil(max(right + 60 + _LETTER * max(map(len, names)),
                          left + 10.5 * len(title) + 8))
    heading = html.escape(title)
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {_HEIGHT}' "
           f"width='{width}' height='{_HEIGHT}' role='img' {_FONT}>",
           f'<title>{heading}</title>',
           f"<rect width='{width}' height='{_HEIGHT}' fill='#ffffff'/>",
           _text(left, 26, title, 16, 'start', "font-weight='bold'"),
           _text(left, 46, note, 12, 'start')]
    for tick in across.ticks:
        out.append(f"<path d='M{across(tick):.1f} {_TOP}V{_BOTTOM}' stroke='#e3e3e3'/>")
    for tick in up.ticks:
        out.append(f"<path d='M{left} {up(tick):.1f}H{right}' stroke='#e3e3e3'/>")
    room = 6 + _LETTER * max(len(x_axis.label(t)) for t in across.ticks)
    for tick in _shown(across.ticks, across, room):
        out.append(f"<path d='M{across(tick):.1f} {_BOTTOM}v5' stroke='#1a1a1a'/>")
        out.append(_text(across(tick), _BOTTOM + 19, x_axis.label(tick)))
    for tick in _shown(up.ticks, up, 14):
        out.append(f"<path d='M{left} {up(tick):.1f}h-5' stroke='#1a1a1a'/>")
        out.append(_text(left - 9, up(tick) + 4, y_axis.label(tick), 12, 'end'))
    out.append(f"<rect x='{left}' y='{_TOP}' width='{right - left}' height='{_BOTTOM - _TOP}' "
               "fill='none' stroke='#1a1a1a'/>")
    middle = (_TOP + _BOTTOM) / 2
    out.append(_text((left + right) / 2, _HEIGHT - 18, x_axis.name, 13))
    out.append(_text(16, middle, y_axis.name, 13, 'middle', f"transform='rotate(-90 16 {middle})'"))
    for name in reversed(names):  # procpool on top
        points = [(across(x), up(y)) for x, y in series[name]]
        out.append(styles.line(name, points))
        out += [styles.marker(name, x, y) for x, y in points]
    for i, name in enumerate(names):
        y = _TOP + 12 + 22 * i
        out.append(styles.line(name, [(right + 16, y), (right + 44, y)]))
        out.append(styles.marker(name, right + 30, y))
        out.append(_text(right + 52, y + 4, name, 12, 'start'))
    return '\n'.join(out + ['</svg>', ''])


@dataclasses.dataclass
class Plot:
    file: str
    title: str
    alt: str
    svg: str


def _name(row):
    return row.contender + (', by handle' if is_handle(row) else '')


def _alt(title, x_axis, y_axis, series):
    ends = [f'{name}: ' + ', '.join(f'{y_axis.label(y)} at {x_axis.label(x)}' for x, y in
                                    dict.fromkeys((points[0], points[-1])))
            for name, points in series.items()]
    return f'{title}. {y_axis.name} over {x_axis.name}. ' + '; '.join(ends) + '.'


def _plot(file, title, note, x_axis, y_axis, points, styles):
    """points: (name, x, y). A figure that a logarithm does not take is left out."""
    series = {}
    for name, x, y in points:
        if x > 0 and y > 0:
            series.setdefault(name, []).append((x, y))
    if not series:
        return []
    for one in series.values():
        one.sort()
    return [Plot(file, title, _alt(title, x_axis, y_axis, series),
                 draw(title, note, x_axis, y_axis, series, styles))]


def _count(value):
    return f'{value:.3g}'


def _label(unit):
    """As in the tables, without zeros at the end: round numbers are what ticks are at."""
    def text(value):
        number, _, rest = human(value, unit).partition(' ')
        return (number.rstrip('0').rstrip('.') if '.' in number else number) + ' ' + rest
    return text


def _shares(rows):
    """Ticks for what is 1 at best: above it there is nothing to see."""
    low = min((r.median for r in rows if r.median > 0), default=1)
    steps = [m / 10 ** e for e in range(6, 0, -1) for m in (1, 2, 5)] + [1.0]
    return [t for i, t in enumerate(steps) if t >= low or steps[min(i + 1, len(steps) - 1)] > low]


def _percentile(x):
    return f'{100 - 100 / x:g} %'


def plots(results):
    """Those that the run has figures for."""
    styles = Styles(results.contenders())
    works = results.works()
    found = []

    def over(work, title, x_axis, y_axis):
        rows = [r for of in works.get(work, {}).values() for r in of if r.more_is_better]
        if x_axis.label is _count:
            x_axis.ticks = sorted({r.x for r in rows if r.x > 0})
        if y_axis.label is _count:
            y_axis.ticks = _shares(rows)
        found.extend(_plot(f'{work}.svg', title, 'more is better', x_axis, y_axis,
                           [(_name(r), r.x, r.median) for r in rows], styles))

    def percentiles(work, file, title, what, y_name):
        for parameter, rows in works.get(work, {}).items():
            points = [(r.contender, 100 / (100 - p), v) for r in rows
                      for p, v in r.percentiles.items() if 0 < p < 100]
            slug = ''.join(c if c.isalnum() else '-' for c in parameter)
            found.extend(_plot(f'{file}-{slug}.svg', f'{title}, {parameter}', 'less is better',
                               Axis(f'percentile (share of the {what} that took no longer)',
                                    _percentile, ticks=sorted({x for _, x, _ in points})),
                               Axis(y_name, _label('s')), points, styles))

    percentiles('round_trip', 'latency', 'Latency of one empty task at a time', 'tasks',
                'time from submit to result')
    over('window', 'Throughput over workers, 1,024 empty tasks in flight',
         Axis('workers', _count), Axis('tasks per second', _label('tasks/s')))
    over('submitters', 'Throughput over submitting threads, empty tasks',
         Axis('submitting threads', _count), Axis('tasks per second', _label('tasks/s')))
    over('task_length', 'Efficiency over the length of a task',
         Axis('CPU time of a task', _label('s')),
         Axis('speed-up over serial, divided by workers', _count))
    for work, title in (('payload', 'Throughput over the size of a value, round trip'),
                        ('payload_in', 'Throughput over the size of an argument'),
                        ('payload_out', 'Throughput over the size of a result')):
        over(work, title, Axis('size of the value', _label('B'), 2),
             Axis('bytes per second', _label('B/s'), 2))
    over('queue', 'Throughput of a queue over the size of an item, from one process to another',
         Axis('size of the item', _label('B'), 2), Axis('items per second', _label('items/s')))
    percentiles('lock_wait', 'lock_wait', 'How long it takes to get a mutex', 'locks',
                'time until it is locked')
    return found
