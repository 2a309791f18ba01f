/** The name of a file where there is little room: folders are told apart at their slashes, an ending stays whole. */

/** The ending of a name with a few letters before it: `.jpg` alone in a line tells nothing. */
const tail = /[^/]{0,4}\.\w{1,5}$/;

export function FileName({ path }: { readonly path: string }) {
  const end = tail.exec(path)?.[0] ?? '';
  const folders = path.slice(0, path.length - end.length).split(/(?<=\/)/);
  return (
    <>
      {folders.map((part, i) => (
        <>
          {i > 0 && <wbr />}
          {part}
        </>
      ))}
      <wbr />
      <span class="whole">{end}</span>
    </>
  );
}
