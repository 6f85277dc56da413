
'use strict';
(() => {
  const make = (tag, text) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Whose files these are.
  const top = document.getElementById('top');
  if (top) top.textContent = location.host;
  document.title = location.host + document.title;

  // Times in the reader's own zone and words.
  const short = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
  for (const time of document.getElementsByTagName('time')) {
    const date = new Date(time.dateTime);
    if (isNaN(date)) continue;
    time.textContent = short.format(date);
    time.addEventListener('mouseenter', () => { time.title = full.format(date); }, { once: true });
  }

  // Sorting. The server's order is the order by name; folders stay first.
  const body = document.getElementById('entries');
  const rows = [...body.rows].filter((row) => row.cells.length === 3);
  const order = new Map(rows.map((row, index) => [row, index]));
  const value = (row, column) => Number(row.cells[column].dataset.v);
  const heads = [...document.querySelectorAll('th')];
  const sort = (column, down) => {
    const sign = down ? -1 : 1;
    rows.sort((a, b) =>
      b.classList.contains('d') - a.classList.contains('d') ||
      sign * (column ? value(a, column) - value(b, column) : order.get(a) - order.get(b)) ||
      order.get(a) - order.get(b));
    body.append(...rows);
    heads.forEach((head, index) => {
      if (index === column) head.ariaSort = down ? 'descending' : 'ascending';
      else head.removeAttribute('aria-sort');
    });
  };
  heads.forEach((head, column) => {
    // Not the zone, which is the reader's now.
    const button = make('button', head.firstChild.data.trim());
    button.type = 'button';
    // The largest and the newest are asked for first.
    button.addEventListener('click', () => sort(column,
      head.ariaSort ? head.ariaSort === 'ascending' : column > 0));
    head.replaceChildren(button);
  });

  // A filter, where there is much to look through.
  if (rows.length > 20) {
    const filter = make('input');
    filter.type = 'search';
    filter.placeholder = 'Filter by name';
    filter.setAttribute('aria-label', 'Filter by name');
    filter.addEventListener('input', () => {
      const wanted = filter.value.toLowerCase();
      for (const row of rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      }
    });
    document.querySelector('header').append(filter);
  }

  // Uploads, one after the other.
  const form = document.getElementById('upload');
  if (!form) return;
  const input = form.querySelector('input');
  const list = form.querySelector('ul');
  const waiting = [];
  let busy = false;
  let failed = false;
  const reasons = {
    401: 'not allowed without signing in', 403: 'not allowed', 409: 'exists already',
    412: 'exists already', 413: 'too large', 507: 'no space left',
  };

  const put = ({ file, line, progress, state, cancel }) => new Promise((done) => {
    const request = new XMLHttpRequest();
    const end = (text, good) => {
      line.className = good ? 'done' : 'failed';
      state.value = text;
      progress.remove();
      cancel.remove();
      failed ||= !good;
      done();
    };
    request.upload.addEventListener('progress', (event) => {
      if (!event.lengthComputable) return;
      progress.value = event.loaded / event.total;
      state.value = event.loaded < event.total ?
        Math.floor(100 * event.loaded / event.total) + ' %' : 'being stored';
    });
    request.addEventListener('load', () => {
      const good = request.status >= 200 && request.status < 300;
      end(good ? 'done' : reasons[request.status] || 'failed: ' + request.status, good);
    });
    request.addEventListener('error', () => end('connection lost', false));
    request.addEventListener('abort', () => end('cancelled', false));
    cancel.onclick = () => request.abort();
    request.open('PUT', './' + encodeURIComponent(file.name));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(file);
  });

  const work = async () => {
    if (busy) return;
    busy = true;
    while (waiting.length) {
      const job = waiting.shift();
      if (!job.cancelled) await put(job);
    }
    busy = false;
    if (!failed) location.reload();
  };

  const add = (file) => {
    const job = { file, line: make('li'), progress: make('progress'), state: make('output', 'waiting'), cancel: make('button', 'Cancel') };
    job.progress.max = 1;
    job.progress.value = 0;
    job.progress.setAttribute('aria-label', file.name);
    job.cancel.type = 'button';
    job.cancel.onclick = () => {
      job.cancelled = true;
      job.line.remove();
    };
    job.line.append(make('span', file.name), job.state, job.cancel, job.progress);
    list.append(job.line);
    waiting.push(job);
  };

  const refuse = (name) => {
    const line = make('li');
    line.className = 'failed';
    line.append(make('span', name), make('output', 'folders cannot be uploaded'));
    list.append(line);
    failed = true;
  };

  form.classList.add('live');
  input.required = false;
  input.addEventListener('change', () => {
    [...input.files].forEach(add);
    input.value = '';
    work();
  });
  form.addEventListener('submit', (event) => event.preventDefault());

  const carriesFiles = (event) => event.dataTransfer && event.dataTransfer.types.includes('Files');
  addEventListener('dragover', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    form.classList.add('over');
  });
  addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) form.classList.remove('over');
  });
  addEventListener('drop', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    form.classList.remove('over');
    for (const item of event.dataTransfer.items) {
      if (item.kind !== 'file') continue;
      const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
      if (entry && entry.isDirectory) refuse(entry.name);
      else add(item.getAsFile());
    }
    work();
  });
})();
