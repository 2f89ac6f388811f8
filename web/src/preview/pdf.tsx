// A PDF, drawn page by page as one scrolls, by Mozilla's reader. No script in it is run.
import * as pdfjs from 'pdfjs-dist'
import worker from 'pdfjs-dist/build/pdf.worker.min.mjs?worker&url'
import { useEffect, useRef, useState } from 'preact/hooks'
import { contentUrl, type StoredFile } from '../api/client'
import { Loading } from '../components/states'
import { count } from '../format'

pdfjs.GlobalWorkerOptions.workerSrc = worker

type Props = { file: StoredFile; onBroken: () => void }

export default function Pdf({ file, onBroken }: Props) {
  const [pdf, setPdf] = useState<pdfjs.PDFDocumentProxy | null>(null)
  const [ratio, setRatio] = useState(1.4)
  useEffect(() => {
    const task = pdfjs.getDocument({
      url: contentUrl(file.id),
      isEvalSupported: false,
      enableXfa: false,
      useWasm: false,
      disableAutoFetch: true,
    })
    let over = false
    task.promise.then(
      async (document) => {
        const first = (await document.getPage(1)).getViewport({ scale: 1 })
        if (over) return
        setRatio(first.height / first.width)
        setPdf(document)
      },
      () => over || onBroken(),
    )
    return () => {
      over = true
      void task.destroy()
    }
  }, [file.id])
  if (!pdf) return <Loading what="Loading the document" />
  return (
    <div class="page-text pdf" tabIndex={0} role="region" aria-label={`${file.name}, ${count(pdf.numPages, 'page')}`}>
      {Array.from({ length: pdf.numPages }, (_, index) => (
        <Page key={index} pdf={pdf} number={index + 1} ratio={ratio} />
      ))}
    </div>
  )
}

function Page({ pdf, number, ratio }: { pdf: pdfjs.PDFDocumentProxy; number: number; ratio: number }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    const element = canvas.current
    if (!element) return
    let drawing: pdfjs.RenderTask | undefined
    const draw = async () => {
      const page = await pdf.getPage(number)
      const scale = (element.clientWidth * devicePixelRatio) / page.getViewport({ scale: 1 }).width
      const viewport = page.getViewport({ scale })
      element.width = viewport.width
      element.height = viewport.height
      drawing = page.render({ canvas: element, viewport })
      await drawing.promise
    }
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry?.isIntersecting) return
        observer.disconnect()
        draw().catch(() => {})
      },
      { rootMargin: '600px' },
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      drawing?.cancel()
    }
  }, [pdf, number])
  return <canvas ref={canvas} role="img" aria-label={`Page ${number}`} style={{ aspectRatio: `${1 / ratio}` }} />
}
